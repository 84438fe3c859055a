// Notifications outside the page's content: in its title, and by the browser.

import { canNotify, kept } from "./browser_storage.js";
import { showText } from "./dom.js";
import { words } from "./language.js";

const NOTIFY = "hunyuan_notify";
let ownTitle = "";

/** Set a prefix of the page's title; "" for none. */
export function setTitle(text) {
  ownTitle = ownTitle || document.title;
  document.title = text ? `${text} · ${ownTitle}` : ownTitle;
}

/**
 * Return a function that notifies visitors who have left the page's tab and enabled notifications.
 * @param {any} wish The button that enables them.
 * @param {any} line Says why it does not.
 */
export function createNotify(wish, line) {
  let isWished = kept.get(NOTIFY) === "yes";
  const isOn = () => isWished && canNotify() && Notification.permission === "granted";

  function show() {
    wish.hidden = !canNotify();
    wish.setAttribute("aria-pressed", isOn());
    wish.textContent = isOn() ? words.notify_on : words.notify;
  }

  async function change() {
    isWished = !isOn();
    kept.set(NOTIFY, isWished ? "yes" : "no");
    try {
      if (isWished) await Notification.requestPermission();
    } catch {
      // Cannot be requested in a page inside another site's.
    }
    const isFocused = document.activeElement === wish;
    show();
    if (canNotify()) return;
    showText(line, words.notify_denied);
    if (isFocused) line.focus({ preventScroll: true });
  }

  wish.addEventListener("click", change);
  show();

  // Never the prompt: it would be shown on a locked screen.
  return function notify(text) {
    if (!document.hidden || !isOn()) return;
    try {
      new Notification(text, { tag: "hunyuan" });
    } catch {
      // On phones only service workers may notify; the title shows it as well.
    }
  };
}

// What is told outside the page: in its title, and by the browser's notifications.

import { canNotify, kept } from "./browser.js";
import { words } from "./language.js";

const NOTIFY = "hunyuan_notify";
let ownTitle = "";

/** Set what stands before the page's own title; "" for nothing. */
export function setTitle(text) {
  ownTitle = ownTitle || document.title;
  document.title = text ? `${text} · ${ownTitle}` : ownTitle;
}

/**
 * Return a function that notifies somebody who looks at something else and wished to be told.
 * @param {any} wish The button of that wish.
 */
export function createNotify(wish) {
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
      // Not to be asked for in a page inside another site's.
    }
    show();
  }

  wish.addEventListener("click", change);
  show();

  // Never the prompt: it would stand on a locked screen.
  return function notify(text) {
    if (!document.hidden || !isOn()) return;
    try {
      new Notification(text, { tag: "hunyuan" });
    } catch {
      // Phones allow it to service workers only; the title says it as well.
    }
  };
}

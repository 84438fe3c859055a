// The service's request id, for copying.

import { button, copySelected, node } from "./dom.js";
import { words } from "./language.js";

const COPIED_MS = 3000;

export function requestId(id) {
  const shown = node("span", "", "request");
  const code = node("code", id);
  const copy = button(words["owner.copy"], async () => {
    getSelection()?.selectAllChildren(code);
    const isCopied = await copySelected(id);
    copy.textContent = words[isCopied ? "owner.copied" : "owner.selected"];
    setTimeout(() => (copy.textContent = words["owner.copy"]), COPIED_MS);
  });
  shown.append(code, copy);
  return shown;
}

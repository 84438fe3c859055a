// The visitor's personal address, for a browser without storage.

import { isAddressCut, address as personalAddress } from "./browser_storage.js";
import { copySelected, fill, piecesOf } from "./dom.js";
import { on, onReturn } from "./events.js";
import { joined, words } from "./language.js";
import { arrived, keeping } from "./server.js";

export function address({ element }) {
  const part = piecesOf(element);
  const section = element.querySelector(".address");
  const box = part("shown").querySelector("input");

  function show() {
    const kept = keeping();
    const told = joined([isAddressCut() && words["address.cut"], words[`address.${kept}`]]);
    section.hidden = !told;
    part("text").textContent = told;
    part("copy").hidden = kept === "kept";
  }

  // If copying is not permitted, the address can be selected instead.
  async function copy() {
    box.value = personalAddress();
    part("shown").hidden = false;
    box.focus();
    box.select();
    const isCopied = await copySelected(box.value);
    part("told").textContent = words[isCopied ? "address.copied" : "address.not_copied"];
  }

  fill(element, words);
  part("copy").addEventListener("click", copy);
  box.addEventListener("focus", () => box.select());
  on("address", () => {
    section.scrollIntoView({ block: "center" });
    copy();
  });
  // The browser's storage may be cleared while the page is open.
  onReturn(show);
  arrived.then(show);
}

const { words } = hunyuan;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const section = element.querySelector(".address");
const box = part("shown").querySelector("input");

function show() {
  const keeping = hunyuan.videos.keeping();
  section.hidden = keeping === "kept";
  part("text").textContent = words[`address.${keeping}`] || "";
}

// Of the two ways to copy, a frame or a page without a certificate may be allowed the older one only; where neither
// is allowed, the address is there to be selected.
async function copy() {
  box.value = hunyuan.browser.address();
  part("shown").hidden = false;
  box.focus();
  box.select();
  let isCopied = document.execCommand("copy");
  try {
    if (!isCopied) await navigator.clipboard.writeText(box.value);
    isCopied = true;
  } catch {
    // Said below.
  }
  part("told").textContent = words[isCopied ? "address.copied" : "address.not_copied"];
}

hunyuan.fill(element, words);
part("copy").addEventListener("click", copy);
box.addEventListener("focus", () => box.select());
hunyuan.videos.hear("address", () => {
  section.scrollIntoView({ block: "center" });
  copy();
});
// What a browser has kept may be cleared while the page is open.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) show();
});
hunyuan.videos.visitor().then(show);

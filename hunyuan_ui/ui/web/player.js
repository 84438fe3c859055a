const MOST_LOADS = 6;
const video = element.querySelector("video");
let id = null;
let loads = 0;

function show(shown) {
  id = shown.id;
  loads = 0;
  video.style.aspectRatio = `${shown.width} / ${shown.height}`;
  video.autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  video.src = hunyuan.videos.file(shown, ".mp4");
  video.poster = hunyuan.videos.file(shown, ".webp");
}

function forget(gone) {
  if (gone !== id) return;
  id = null;
  video.removeAttribute("poster");
  video.removeAttribute("src");
  video.load();
}

// A browser does not ask again for a video whose answer went wrong.
video.addEventListener("error", () => {
  video.controls = true;
  if (!id || loads === MOST_LOADS) return;
  setTimeout(() => id && video.load(), 1000 * 2 ** loads);
  loads += 1;
});
video.addEventListener("loadeddata", () => {
  loads = 0;
  // A browser takes longer to draw its controls than the first picture, which therefore comes before them.
  requestAnimationFrame(() => (video.controls = true));
});
hunyuan.videos.shown(props, watch, show, forget);

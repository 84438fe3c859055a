// Keeps Generate above an on-screen keyboard where the browser lays that over the page instead of making the page lower,
// as Safari does.

const LEAST_PX = 100; // less is a bar of the browser's
const LOWEST_PX = 320; // in less room the button is not kept in sight (form.css)

/**
 * Return how many px of the page's foot are covered.
 * @param {{height: number, offsetTop: number, scale: number}} view What is in sight.
 * @param {number} pageHeight Of the page's own viewport.
 */
export function coveredBy({ height, offsetTop, scale }, pageHeight) {
  if (scale > 1.01 || height <= LOWEST_PX || pageHeight - height < LEAST_PX) return 0;
  return Math.max(0, Math.round(pageHeight - height - offsetTop));
}

/** Tell the page's styles what is covered, whenever that may have changed. */
export function keepAboveKeyboard(view = window.visualViewport, root = document.documentElement) {
  const update = () => view && root.style.setProperty("--covered", `${coveredBy(view, root.clientHeight)}px`);
  for (const change of ["resize", "scroll"]) view?.addEventListener(change, update);
}

// The question what a form costs: asked once the form rests, again until it is answered, and dropped when a newer one
// is asked.

const ASK_AFTER_MS = 50; // a slider that moves asks once it rests
const ASK_AGAIN_MS = 2000;
const ANSWER_WITHIN_MS = 10000;

/**
 * Return what asks it.
 * @param {object} does
 * @param {() => any} does.form What the form holds, or null as long as nobody knows.
 * @param {(held: any, how: {whole: boolean, within_ms: number, signal: AbortSignal}) => Promise<any>} does.priceOf
 * @param {(answer: any) => void} does.answered
 */
export function createPriceQuestion({ form, priceOf, answered }) {
  let isWhole = false; // the next question is also about the page's head and the examples
  /** @type {AbortController | null} */
  let asking = null;
  let rest;

  function ask({ whole = false, after_ms = ASK_AFTER_MS } = {}) {
    isWhole = isWhole || whole;
    if (!form()) return;
    clearTimeout(rest);
    rest = setTimeout(askNow, after_ms);
  }

  async function askNow() {
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    try {
      const answer = await priceOf(form(), { whole: isWhole, within_ms: ANSWER_WITHIN_MS, signal: mine.signal });
      if (asking !== mine) return;
      isWhole = false;
      answered(answer);
    } catch {
      if (asking === mine) ask({ after_ms: ASK_AGAIN_MS });
    }
  }

  return {
    ask,

    /** Let the next question be about the page's head and the examples too. */
    askWhole() {
      isWhole = true;
    },
  };
}

// Requests the form's price: once the form is idle, repeated until answered, and aborted for a newer request.

const ASK_AFTER_MS = 50; // a moving slider triggers a request when it stops
const ASK_AGAIN_MS = 2000;
const ANSWER_WITHIN_MS = 10000;

/**
 * Return an object that sends the requests.
 * @param {object} does
 * @param {() => any} does.form The form's values, or null while unknown.
 * @param {(held: any, how: {whole: boolean, within_ms: number, signal: AbortSignal}) => Promise<any>} does.priceOf
 * @param {(answer: any) => void} does.answered
 */
export function createPriceRequest({ form, priceOf, answered }) {
  let isWhole = false; // the next request also covers the page's header and the examples
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

    /** Let the next request also cover the page's header and the examples. */
    askWhole() {
      isWhole = true;
    },
  };
}

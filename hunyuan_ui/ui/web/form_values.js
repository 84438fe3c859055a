// Values of the form's choices, and the form that a price belongs to.

export const RANDOM_SEED = -1;
const CENT_USD = 0.01;
const SIDES = ["width", "height"];

/**
 * @typedef {Object<string, any>} Held All values of the form by name.
 * @typedef {{key: string, payer: string | null, count: any, is_free?: boolean, most_usd: number | null}} Price
 */

/**
 * @param {object} facts Sent by the server.
 * @param {string[]} facts.held Names of all values, in Gradio's order.
 * @param {string[]} facts.priced Names of values that affect the price.
 * @param {Held} facts.initial The values with which the form is drawn.
 * @param {Object<string, Object<string, number[]>>} facts.sizes Width and height by shape and size.
 * @param {Object<string, number>} facts.steps By quality.
 */
export function createFormValues({ held: names, priced, initial, sizes, steps }) {
  const presetsOf = ({ width, height, infer_steps }) => {
    const quality = Object.keys(steps).find((name) => steps[name] === infer_steps) || null;
    for (const [shape, bySize] of Object.entries(sizes))
      for (const [size, pixels] of Object.entries(bySize))
        if (pixels[0] === width && pixels[1] === height) return { shape, size, quality };
    return { shape: null, size: null, quality };
  };

  const only = (values, accepts) => Object.fromEntries(Object.entries(values).filter(([name]) => accepts(name)));

  /** The values of the controls that were used. A size is one choice of two numbers. @param {Held} now */
  function used(now) {
    const isUsed = (name) => !Object.is(now[name], initial[name]);
    return only(now, (name) => isUsed(name) || (SIDES.includes(name) && SIDES.some(isUsed)));
  }

  return {
    /** @returns {Held} */
    byName: (values) => Object.fromEntries(names.map((name, index) => [name, values[index]])),

    numbersOf: (held) => Object.fromEntries(priced.map((name) => [name, held[name]])),

    /** The values that affect a price, as one string. */
    keyOf: (payer, held) => JSON.stringify([payer, held.variations, ...priced.map((name) => held[name])]),

    /** Only changed values, in Gradio's order: undefined leaves a control unchanged. */
    changed: (before, after) => names.map((name) => (Object.is(after[name], before[name]) ? undefined : after[name])),

    presetsOf,

    used,

    /** Only those of the wished values whose controls nobody has used yet. @param {Held} now @param {Held} wished */
    unused: (now, wished) => only(wished, (name) => !(name in used(now))),

    sized({ shape, size }) {
      const chosen = { shape: shape || Object.keys(sizes)[0], size: size || Object.keys(Object.values(sizes)[0])[0] };
      const [width, height] = sizes[chosen.shape][chosen.size];
      return { ...chosen, width, height };
    },

    qualified: ({ quality }) => ({ infer_steps: steps[quality] }),
  };
}

/**
 * Return the maximum cost of a click: the price seen before it, or a later one that is not higher.
 * @param {number | null} seen_usd
 * @param {number} priced_usd
 */
export const agreedPrice = (seen_usd, priced_usd) => (priced_usd <= (seen_usd ?? 0) + CENT_USD ? priced_usd : seen_usd);

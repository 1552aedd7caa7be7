/** How freely words are invented and paired, as in charrnn/generation/new_words.py. */

import { UNKNOWN } from "./words.js";

/** The costs of leaving the known words and pairs, which are subtracted from the logits. */
export class WordCosts {
  /**
   * @param {import("./counts.js").Counts | undefined} counts
   * @param {import("./sampler.js").SamplingParams} params
   * @param {object} constants  Of the model.
   */
  constructor(counts, params, constants) {
    const factor = params.new_words ?? computeDefault(params, constants);
    this.counts = counts;
    this.never = constants.never;
    this.cost = factor > 0 ? -Math.log(factor) : constants.never;
  }

  /** Return the logits (V,) less the costs, after a state that ends with that of the counts. */
  subtract(logits, state, isStarted) {
    const { words, pairs } = this.counts ?? {};
    if (!words) return logits;
    const [word, pair] = state.slice(-3); // as in `Counts`
    if (word === UNKNOWN && !isStarted) {
      return logits.map((logit, id) => (words.letters[id] ? logit - this.never : logit));
    }
    if (!this.cost) return logits;
    const lowered = words.subtractLeaving(logits, word, this.cost);
    return pairs ? pairs.subtractLeaving(lowered, pair, this.cost) : lowered;
  }
}

function computeDefault({ temperature, top_k }, { cold, cold_factor: factor }) {
  const warmth = top_k === 1 ? 0 : temperature;
  if (warmth <= cold) return factor ** (warmth / cold);
  return factor + (1 - factor) * Math.min((warmth - cold) / (1 - cold), 1);
}

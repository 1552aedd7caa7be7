/** How freely words are invented and paired, as in charrnn/generation/new_words.py. */

import { UNKNOWN } from "./words.js";

/** The costs of leaving the known words and pairs, which are added to the logits of the others. */
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

  /** Return scores (V,): logits with the costs, after a state that ends with that of the counts. */
  apply(logits, state, isStarted) {
    const { words, pairs } = this.counts ?? {};
    if (!words) return logits;
    const scores = Float64Array.from(logits);
    const [word, pair] = state.slice(-3); // as in `Counts`
    if (word === UNKNOWN && !isStarted) {
      words.letters.forEach((letter, id) => { if (letter) scores[id] -= this.never; });
    }
    if (word >= 0) for (const id of words.trie.listFollowers(word)) scores[id] += this.cost;
    const times = pairs?.countPassages(pair) ?? 0;
    if (times > 1) {
      for (const id of pairs.trie.listFollowers(pair)) scores[id] += this.cost * (2 - 2 / times);
    }
    return scores;
  }
}

function computeDefault({ temperature, top_k }, { cold, cold_factor: factor }) {
  const warmth = top_k === 1 ? 0 : temperature;
  if (warmth <= cold) return factor ** (warmth / cold);
  return factor + (1 - factor) * Math.min((warmth - cold) / (1 - cold), 1);
}

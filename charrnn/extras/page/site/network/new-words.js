/** How freely words are invented, as in charrnn/generation/new_words.py. */

import { UNKNOWN } from "./known-words.js";

const STRANGE = -2; // the node of a prompt's last word, if it is no beginning of a known word

/** The costs of leaving the known words, which are subtracted from the logits. */
export class WordCosts {
  /**
   * @param {import("./known-words.js").KnownWords | null} known
   * @param {import("./sampler.js").SamplingParams} params
   * @param {number[]} ids  The ids of the start text.
   * @param {object} constants  Of the model.
   */
  constructor(known, params, ids, constants) {
    const factor = params.new_words ?? computeDefault(params, constants);
    this.known = known;
    this.cost = factor > 0 ? -Math.log(factor) : constants.never;
    this.ofLetters = known && new Float32Array(known.width).fill(constants.never, 1);
    this.node = known && findFirstNode(known, ids);
  }

  /** Add an id to the text. */
  append(id) {
    this.node = this.known && this.known.extend(this.node, id);
  }

  /** Return the logits (V,) less the costs. */
  subtract(logits) {
    const { known, node, cost } = this;
    const costs = node === STRANGE ? this.ofLetters : known?.makeCosts(node, cost);
    return costs ? logits.map((logit, id) => logit - costs[known.letters[id]]) : logits;
  }
}

function computeDefault({ temperature, top_k }, { cold, cold_factor: factor }) {
  const warmth = ((top_k === 1 ? 0 : temperature) - cold) / (1 - cold);
  return factor + (1 - factor) * Math.min(Math.max(warmth, 0), 1);
}

/** Return the node of the last word of a start text, or STRANGE. */
function findFirstNode(known, ids) {
  return ids.reduce((node, id) => {
    const after = known.extend(node, id);
    const isTold = node !== UNKNOWN && node < known.numComplete; // whether all words are known
    return after === UNKNOWN && isTold ? STRANGE : after;
  }, 0);
}

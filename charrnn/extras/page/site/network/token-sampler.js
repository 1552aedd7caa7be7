/**
 * Draw the next character from the network's logits, like charrnn/generation/draw.py.
 *
 * The probabilities are the softmax at a temperature, limited by top_k, top_p and min_p. A draw is
 * the inverse of their cumulative sum at one uniform number. All sums are in double precision.
 */

const COLDEST = 1e260; // the largest inverse of a temperature

export class TokenSampler {
  /**
   * @param {number} size  The number of characters in the vocabulary.
   * @param {object} params
   * @param {number} params.temperature  0: always draw the likeliest character.
   * @param {number | null} [params.top_k]  Draw from the k likeliest characters only.
   * @param {number | null} [params.top_p]  Draw from the fewest likeliest characters that together
   *   have this probability.
   * @param {number | null} [params.min_p]  Leave out characters with less than this share of the
   *   likeliest character's probability.
   */
  constructor(size, { temperature, top_k, top_p, min_p }) {
    this.greedy = temperature === 0 || top_k === 1;
    this.scale = this.greedy ? 1 : Math.min(1 / temperature, COLDEST);
    this.topK = Math.min(top_k ?? size, size);
    this.topP = top_p ?? 1;
    this.minP = min_p ?? 0;
    this.sums = new Float64Array(size);
  }

  /** Return the id that a uniform number in [0, 1) selects with these logits (V,). */
  draw(logits, uniform) {
    const { sums, scale, minP } = this;
    const likeliest = argmax(logits);
    const highest = logits[likeliest];
    if (!Number.isFinite(highest)) {
      throw new RangeError("the model's scores are not numbers: its weights are too large");
    }
    if (this.greedy) return likeliest;
    for (let id = 0; id < sums.length; id++) {
      sums[id] = Math.exp((logits[id] - highest) * scale);
    }
    if (this.topK < sums.length || this.topP < 1) this.#applyTopKAndP(logits);
    let sum = 0;
    for (let id = 0; id < sums.length; id++) {
      if (sums[id] >= minP) sum += sums[id];
      sums[id] = sum;
    }
    return findFirstAbove(sums, uniform * sum);
  }

  /** Set the weights of characters outside of top_k and top_p to 0. */
  #applyTopKAndP(logits) {
    const { sums, topK, topP } = this;
    const order = sortByLogit(logits);
    for (const id of order.subarray(topK)) sums[id] = 0;
    if (topP >= 1) return;
    let total = 0;
    for (const id of order) total += sums[id];
    let sum = 0;
    for (const id of order) {
      const weight = sums[id];
      if (sum >= topP * total) sums[id] = 0; // the character that reaches top_p stays
      sum += weight;
    }
  }
}

/** Return the natural logarithm of an id's probability, for logits of any range. */
export function computeLogProb(logits, id) {
  const highest = logits[argmax(logits)];
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - highest);
  return logits[id] - highest - Math.log(sum);
}

/** Return the ids sorted from the highest logit to the lowest; for equal logits, by id. */
export function sortByLogit(logits) {
  return Uint32Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
}

/** Return the id of the largest logit, or of the last logit that is not a number. */
function argmax(logits) {
  let best = 0;
  for (let id = 1; id < logits.length; id++) {
    if (logits[id] > logits[best] || Number.isNaN(logits[id])) best = id;
  }
  return best;
}

/** Return the first index of a sorted array with a number above a value. */
function findFirstAbove(sums, value) {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

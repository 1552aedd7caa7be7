/**
 * Choosing the next character from the network's logits, as charrnn/generation/token_sampler.py does.
 *
 * The probabilities are the softmax at a temperature, cut down by top_k, top_p and min_p. A choice
 * is the inverse of their cumulated sum at one uniform number. All sums are in double precision.
 */

const COLDEST = 1e260; // the inverse of a temperature is held below this

export class Chooser {
  /**
   * @param {number} size  How many characters there are.
   * @param {object} how
   * @param {number} how.temperature  0: always the likeliest.
   * @param {number | null} [how.top_k]  Choose among the k likeliest only.
   * @param {number | null} [how.top_p]  Choose among the fewest likeliest of that probability.
   * @param {number | null} [how.min_p]  Leave out what is less than this times the likeliest.
   */
  constructor(size, { temperature, top_k, top_p, min_p }) {
    this.greedy = temperature === 0 || top_k === 1;
    this.scale = this.greedy ? 1 : Math.min(1 / temperature, COLDEST);
    this.topK = Math.min(top_k ?? size, size);
    this.topP = top_p ?? 1;
    this.minP = min_p ?? 0;
    this.sums = new Float64Array(size);
  }

  /** The id for these logits at a uniform number in [0, 1). */
  choose(logits, uniform) {
    const { sums, scale, minP } = this;
    const likeliest = largest(logits);
    const highest = logits[likeliest];
    if (!Number.isFinite(highest)) {
      throw new RangeError("the model's scores are not numbers: its weights are too large");
    }
    if (this.greedy) return likeliest;
    for (let id = 0; id < sums.length; id++) {
      sums[id] = Math.exp((logits[id] - highest) * scale);
    }
    if (this.topK < sums.length || this.topP < 1) this.#restrict(logits);
    let sum = 0;
    for (let id = 0; id < sums.length; id++) {
      if (sums[id] >= minP) sum += sums[id];
      sums[id] = sum;
    }
    return firstAbove(sums, uniform * sum);
  }

  /** Set to 0 what top_k and top_p leave out. */
  #restrict(logits) {
    const { sums, topK, topP } = this;
    const order = likeliestFirst(logits);
    for (const id of order.subarray(topK)) sums[id] = 0;
    if (topP >= 1) return;
    let all = 0;
    for (const id of order) all += sums[id];
    let sum = 0;
    for (const id of order) {
      const weight = sums[id];
      if (sum >= topP * all) sums[id] = 0; // the one that reaches top_p stays
      sum += weight;
    }
  }
}

/** The logarithm of the probability of an id, in nats; it takes logits of any range. */
export function logProbability(logits, id) {
  const highest = logits[largest(logits)];
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - highest);
  return logits[id] - highest - Math.log(sum);
}

/** The ids by their logits; of equally likely ones the lower first. */
export function likeliestFirst(logits) {
  return Uint32Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
}

function largest(logits) {
  let best = 0;
  for (let id = 1; id < logits.length; id++) {
    if (logits[id] > logits[best] || Number.isNaN(logits[id])) best = id;
  }
  return best;
}

/** The first place of a rising array that holds more than a value. */
function firstAbove(sums, value) {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

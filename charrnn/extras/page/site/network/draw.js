/**
 * Draw the next character from the network's logits, as charrnn/generation/draw.py does.
 *
 * The probabilities are the softmax at a temperature, limited by top_k, top_p and min_p. A draw is
 * the inverse of their cumulative sum at one uniform number. All sums are in double precision.
 * Below a temperature of 1, debts are added to the logits of line ends and sentence ends, and quotes
 * are closed.
 * After three equal blanks or tabs these limits are lifted, so that a run of blanks can end.
 */

import { Debts } from "./debts.js";
import { Quotes } from "./quotes.js";

/**
 * Return the numbers (V,) that are added to the logits, minus infinity for banned characters; null
 * if no character is banned. Characters that the model does not know have no effect.
 *
 * @param {import("./vocabulary.js").Vocabulary} vocabulary
 * @param {string | null} [ban]
 * @throws {RangeError} All characters are banned.
 */
export function makeBias(vocabulary, ban) {
  if (!ban) return null;
  const bias = new Float32Array(vocabulary.size);
  for (const id of vocabulary.lookUp(ban)) bias[id] = -Infinity;
  if (bias.includes(0)) return bias;
  throw new RangeError("ban: every character that the model knows is banned; leave some");
}

/**
 * Return a function that draws the next id of a text for logits (V,) at a uniform number in [0, 1).
 *
 * @param {import("./vocabulary.js").Vocabulary} vocabulary
 * @param {object} params
 * @param {number} params.temperature  0: always draw the likeliest character.
 * @param {number | null} [params.top_k]  Draw from the k likeliest characters only.
 * @param {number | null} [params.top_p]  Draw from the fewest likeliest that have this probability
 *   together.
 * @param {number | null} [params.min_p]  Leave out characters with less than this times the
 *   probability of the likeliest.
 * @param {ArrayLike<number>} ids  The ids of the text so far.
 * @param {object} constants  Of the model.
 * @param {{shares: Record<string, number>, pairs: string[]}} punctuation  Of its text.
 */
export function makeDraw(vocabulary, params, ids, constants, { shares, pairs }) {
  const { temperature, top_k } = params;
  const isGreedy = temperature === 0 || top_k === 1;
  const isCold = !isGreedy && temperature < 1;
  const debts = isCold ? new Debts(vocabulary, constants, shares) : null;
  const quotes = isCold ? new Quotes(vocabulary, pairs, constants.never) : null;
  const drawLimited = makeLimitedDraw(vocabulary.size, params, debts, quotes, constants);
  const free = { temperature: Math.max(temperature, 1) };
  const drawFreely = makeLimitedDraw(vocabulary.size, free, debts, quotes, constants);
  const blanks = vocabulary.lookUp(" \t");
  let run = 0; // equal blanks at the end of the text
  let last = -1;
  const append = (id) => {
    if (!blanks.includes(id)) run = 0;
    else run = id === last ? run + 1 : 1;
    last = id;
    return id;
  };
  ids.slice(-constants.run_length).forEach(append);
  ids.forEach((id) => quotes?.append(id));

  return (logits, uniform) => {
    const isFree = run >= constants.run_length && !isGreedy;
    const id = (isFree ? drawFreely : drawLimited)(logits, uniform);
    debts?.pay(id);
    quotes?.append(id);
    return append(id);
  };
}

/** Return a function that draws as `makeDraw`, but does not lift the limits. */
function makeLimitedDraw(size, { temperature, top_k, top_p, min_p }, debts, quotes, constants) {
  const greedy = temperature === 0 || top_k === 1;
  const scale = greedy ? 1 : Math.min(1 / temperature, constants.coldest);
  const payback = Math.min(constants.payback * Math.max(scale - 1, 0), constants.largest_payback);
  const topK = Math.min(top_k ?? size, size);
  const topP = top_p ?? 1;
  const minP = min_p ?? 0;
  const sums = new Float64Array(size);

  return (logits, uniform) => {
    const likeliest = argmax(logits);
    const highest = logits[likeliest];
    if (!Number.isFinite(highest)) {
      throw new RangeError("the model's scores are not numbers: its weights are too large");
    }
    if (greedy) return likeliest;
    const scores = debts ? debts.repay(logits, highest, payback) : logits;
    quotes?.close(scores);
    const top = debts ? scores[argmax(scores)] : highest;
    for (let id = 0; id < size; id++) sums[id] = Math.exp((scores[id] - top) * scale);
    if (topK < size || topP < 1) keepLikeliest(sums, rankIds(scores), topK, topP);
    let sum = 0;
    for (let id = 0; id < size; id++) {
      if (sums[id] >= minP) sum += sums[id];
      sums[id] = sum;
    }
    return findFirstAbove(sums, uniform * sum);
  };
}

/** Set the weights (V,) to 0 that top_k and top_p leave out. `order` has the likeliest id first. */
function keepLikeliest(weights, order, topK, topP) {
  for (const id of order.subarray(topK)) weights[id] = 0;
  if (topP >= 1) return;
  let total = 0;
  for (const id of order) total += weights[id];
  let sum = 0;
  for (const id of order) {
    const weight = weights[id];
    if (sum >= topP * total) weights[id] = 0; // the character that reaches top_p stays
    sum += weight;
  }
}

/** Return the natural logarithm of an id's probability, for logits of any range. */
export function computeLogProb(logits, id) {
  const highest = logits[argmax(logits)];
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - highest);
  return logits[id] - highest - Math.log(sum);
}

/** Return the ids in the order of their logits; of equal logits the lower id comes first. */
function rankIds(logits) {
  return Uint32Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
}

/** Return the id of the largest logit, or the last that is not a number. */
function argmax(logits) {
  let best = 0;
  for (let id = 1; id < logits.length; id++) {
    if (logits[id] > logits[best] || Number.isNaN(logits[id])) best = id;
  }
  return best;
}

/** Return the first index of a sorted array whose number is larger than a value. */
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

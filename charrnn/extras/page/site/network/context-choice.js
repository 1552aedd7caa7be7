/** Choose the length of contexts as `choose_table` in charrnn/counts/fitting.py does. */

import { Counts } from "./counts.js";
import { computeLogProb } from "./draw.js";

/** Return the discounts (K + 1, 3) of a table, by the length of the context. */
export function listDiscounts(context, { discounts, discounts_below_top, discounts_top }) {
  const below = Array(context).fill(discounts);
  if (context > 1) below[context - 1] = discounts_below_top;
  return [...below, discounts_top];
}

/**
 * Return the length of contexts, from 1 to `longest`, with which counts best predict a held-out
 * text. A larger table is chosen if it lowers the loss by more than its price.
 *
 * @param {number} longest
 * @param {(context: number) => [object, object]} describe  Returns the arguments of `Counts`.
 * @param {ArrayLike<number>} heldOut  Ids.
 * @param {object} constants  Of charrnn/counts.
 */
export function chooseContext(longest, describe, heldOut, { tried, price, other_nodes, slack }) {
  const priced = [];
  for (let context = 1; context <= longest; context++) {
    const [packed, arrays] = describe(context);
    const loss = computeLoss(new Counts(packed, arrays), heldOut.subarray(0, tried + 1));
    const size = arrays.characters.length;
    priced.push({ context, size, cost: loss + price * Math.log2(size + other_nodes) });
  }
  const lowest = priced.reduce((least, { cost }) => Math.min(least, cost), Infinity);
  return priced.findLast(({ size, cost }) =>
    cost === lowest || (size <= other_nodes && cost <= lowest + slack)).context;
}

/** Return the loss of counts without a network, in nats per character after the first. */
function computeLoss(counts, ids) {
  const state = new Float32Array(counts.context + 3);
  const logits = new Float32Array(counts.p.length);
  let loss = 0;
  for (let i = 0; i + 1 < ids.length; i++) {
    counts.extend(state, ids[i]);
    counts.mix(state, logits);
    loss -= computeLogProb(logits, ids[i + 1]);
  }
  return loss / Math.max(ids.length - 1, 1);
}

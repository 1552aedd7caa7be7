/** Choose the length of contexts as `choose_table` in charrnn/counts/fitting.py does. */

import { Counts } from "./counts.js";
import { computeLogProb } from "./draw.js";

/** Return the discounts (K + 1, 3) of a table, by the length of the context. */
export function listDiscounts(context, { discounts, discounts_top }) {
  return [...Array(context).fill(discounts), discounts_top];
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
export function chooseContext(longest, describe, heldOut, { tried, price, other_nodes }) {
  let best = { cost: Infinity };
  for (let context = 1; context <= longest; context++) {
    const [packed, arrays] = describe(context);
    const loss = computeLoss(new Counts(packed, arrays), heldOut.subarray(0, tried + 1));
    const cost = loss + price * Math.log2(arrays.characters.length + other_nodes);
    if (cost < best.cost) best = { context, cost };
  }
  return best.context;
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

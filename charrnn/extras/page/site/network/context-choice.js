/** Choose the length of contexts as charrnn/counts/passages.py does, in one pass over the text. */

import { findSorted } from "./sorted.js";

/** Return the discounts (K + 1, 3) of a table, by the length of the context. */
export function listDiscounts(context, { discounts, discounts_below_top, discounts_top }) {
  const below = Array(context).fill(discounts);
  if (context > 1) below[context - 1] = discounts_below_top;
  return [...below, discounts_top];
}

/**
 * Return the length of contexts that best predicts a held-out text.
 *
 * The tables of all lengths have the same counts below their two longest lengths, so one pass over
 * the text gives the losses of all of them.
 *
 * @param {import("./passages.js").Level[]} levels
 * @param {ArrayLike<number>} heldOut  Ids.
 * @param {number} size  V.
 * @param {object} constants  Of charrnn/counts.
 */
export function chooseContext(levels, heldOut, size, constants) {
  const top = levels.length - 1;
  const starts = listStarts(levels);
  const kinds = weighLevels(levels, starts, constants);
  const losses = new Float64Array(top + 1);
  let nodes = new Int32Array(top + 2).fill(-1); // of the contexts of k characters, in their level
  nodes[0] = 0;
  for (let t = 0; t < Math.min(heldOut.length, constants.tried + 1); t++) {
    const after = new Int32Array(top + 2).fill(-1);
    after[0] = 0;
    for (let k = 0; k <= top && nodes[k] >= 0; k++) {
      const { characters } = levels[k];
      const end = starts[k][nodes[k] + 1];
      const found = findSorted(characters, starts[k][nodes[k]], end, heldOut[t]);
      if (found < end && characters[found] === heldOut[t]) after[k + 1] = found;
    }
    if (t) addLosses(losses, kinds, nodes, after, 1 / size);
    nodes = after;
  }
  let best = 1;
  for (let k = 2; k <= top; k++) if (losses[k] < losses[best]) best = k;
  return best;
}

/** Return the first child of each node of each level, and the end of the last. */
function listStarts(levels) {
  const starts = [];
  for (const [k, { parents }] of levels.entries()) {
    const first = new Int32Array((k ? levels[k - 1].parents.length : 1) + 1);
    for (const parent of parents) first[parent + 1]++;
    for (let i = 1; i < first.length; i++) first[i] += first[i - 1];
    starts.push(first);
  }
  return starts;
}

/** Return the weights of each level inside of a longer table, just below its top, and at its top. */
function weighLevels(levels, starts, constants) {
  const { discounts, discounts_below_top, discounts_top } = constants;
  const kinds = [];
  for (const [k, { preceding, occurrences }] of levels.entries()) {
    kinds.push({
      inside: preceding && weigh(starts[k], preceding, discounts, 1),
      belowTop: preceding && weigh(starts[k], preceding, discounts_below_top, 1),
      atTop: k ? weigh(starts[k], occurrences, discounts_top, 2) : null,
    });
  }
  return kinds;
}

/**
 * Return the mass of each child, and the backoff of each context; -1 for a context without children.
 *
 * @param {number} least  Smaller counts are not in the table.
 */
function weigh(starts, counts, discounts, least) {
  const mass = new Float32Array(counts.length);
  const backoff = new Float32Array(starts.length - 1);
  for (let node = 0; node + 1 < starts.length; node++) {
    let total = 0;
    let taken = 0;
    let isEmpty = true;
    for (let child = starts[node]; child < starts[node + 1]; child++) {
      const n = counts[child];
      total += n;
      taken += n < least ? n : discounts[Math.min(n, 3) - 1];
      if (n >= least) isEmpty = false;
    }
    backoff[node] = isEmpty ? -1 : taken / total;
    for (let child = starts[node]; child < starts[node + 1]; child++) {
      const n = counts[child];
      if (n >= least) mass[child] = Math.max(n - discounts[Math.min(n, 3) - 1], 0) / total;
    }
  }
  return { mass, backoff };
}

/** Add the loss of one character to the losses of the tables of all lengths. */
function addLosses(losses, kinds, nodes, after, uniform) {
  let inside = uniform; // the probability in a longer table
  let belowTop = uniform;
  for (let k = 0; k < kinds.length; k++) {
    const interpolate = ({ mass, backoff }, p) => {
      if (nodes[k] < 0 || backoff[nodes[k]] < 0) return p;
      return backoff[nodes[k]] * p + (after[k + 1] < 0 ? 0 : mass[after[k + 1]]);
    };
    if (k) losses[k] -= Math.log(interpolate(kinds[k].atTop, belowTop));
    if (k + 1 === kinds.length) break;
    belowTop = interpolate(k ? kinds[k].belowTop : kinds[k].inside, inside);
    inside = interpolate(kinds[k].inside, inside);
  }
}

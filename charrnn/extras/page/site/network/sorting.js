/** Sort positions of a text, in passes that pause often. */

/** Positions between two pauses of a pass over a text: 0.1 s on a slow phone. */
export const PART = 1 << 15;

/**
 * Sort positions by their keys. Positions with equal keys stay in their order.
 *
 * @param {Int32Array} positions  (n,)
 * @param {ArrayLike<number>} keys  The key of each position, from 0 to size - 1.
 * @param {number} size
 */
export function* sortByKey(positions, keys, size) {
  const places = new Int32Array(size + 1);
  for (let i = 0; i < positions.length; i++) {
    if (i % PART === 0) yield;
    places[keys[positions[i]] + 1]++;
  }
  for (let key = 0; key < size; key++) places[key + 1] += places[key];
  const sorted = new Int32Array(positions.length);
  for (let i = 0; i < positions.length; i++) {
    if (i % PART === 0) yield;
    sorted[places[keys[positions[i]]]++] = positions[i];
  }
  return sorted;
}

/** Return the first place from `first` to `end` whose number is not below a value. */
export function findSorted(numbers, first, end, value) {
  while (first < end) {
    const middle = (first + end) >> 1;
    if (numbers[middle] < value) first = middle + 1;
    else end = middle;
  }
  return first;
}

/**
 * Sort positions by their keys. Positions with equal keys stay in their order.
 *
 * @param {Int32Array} positions  (n,)
 * @param {ArrayLike<number>} keys  The key of each position, from 0 to size - 1.
 * @param {number} size
 */
export function sortByKey(positions, keys, size) {
  const places = new Int32Array(size + 1);
  for (const position of positions) places[keys[position] + 1]++;
  for (let key = 0; key < size; key++) places[key + 1] += places[key];
  const sorted = new Int32Array(positions.length);
  for (const position of positions) sorted[places[keys[position]]++] = position;
  return sorted;
}

/**
 * Count the passages of a text, and build a table of the counts, as charrnn/counts/passages.py does.
 */

import { sortByKey } from "./sorted.js";

/**
 * The M different passages of k + 1 characters of a text, sorted by their characters.
 *
 * @typedef {object} Level
 * @property {Int32Array} parents  The index of each passage's first k characters in the previous
 *   level.
 * @property {Uint8Array | Uint32Array} characters  The last character of each passage.
 * @property {Int32Array} occurrences  How often each passage occurs.
 * @property {Int32Array | null} preceding  The number of different characters before each passage;
 *   null for the last level.
 */

/**
 * Return the levels of passages of 1, 2, ... characters.
 *
 * @param {Uint8Array | Uint32Array} ids  The text (n,).
 * @param {number} size  V; ids that count from 1 fit into the type of `ids`.
 * @param {number} context  The longest passages have one character more.
 * @param {number} [maxNodes]  The limit of a table's nodes, for contexts of 2 and more.
 * @returns {Level[]}
 */
export function countLevels(ids, size, context, maxNodes = Infinity) {
  const n = ids.length;
  const longest = Math.max(1, Math.min(context, n - 1));
  const text = new ids.constructor(n + longest + 1); // characters from 1; 0 is the end
  for (let i = 0; i < n; i++) text[i] = ids[i] + 1;
  const order = sortPositions(text, n, size + 1, longest + 1);
  const isFirst = new Uint8Array(n).fill(1, 0, 1);
  const levels = [];
  let numbers = new Int32Array(n + 1); // of the k-character passage at each position
  for (let k = 0, numNodes = 1; k <= longest; k++) {
    const count = markFirst(text, order, k, isFirst);
    const level = {
      parents: new Int32Array(count),
      characters: new ids.constructor(count),
      occurrences: new Int32Array(count),
      preceding: null,
    };
    numbers = countLevel(level, levels.at(-1), text, order, k, isFirst, numbers);
    if (levels.length > 1) {
      let repeated = 0; // the nodes of a last level
      for (const times of level.occurrences) if (times > 1) repeated++;
      if (numNodes + repeated > maxNodes) break;
    }
    levels.push(level);
    numNodes += count;
  }
  return levels;
}

/** Sort the positions 0 to n - 1 by the `length` characters from each position on. */
function sortPositions(text, n, size, length) {
  let order = new Int32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  for (let k = length - 1; k >= 0; k--) order = sortByKey(order, text.subarray(k), size);
  return order;
}

/**
 * Mark each position, in sorted order, whose passage of k + 1 characters differs from the previous
 * position's. Return the number of different passages.
 */
function markFirst(text, order, k, isFirst) {
  let count = 0;
  for (let i = 0, before = -1; i < order.length; i++) {
    const last = text[order[i] + k];
    if (last !== before) isFirst[i] = 1;
    before = last;
    if (isFirst[i] && last) count++; // the passage does not extend past the end of the text
  }
  return count;
}

/** Fill a level, and `preceding` of the shorter one. Return the number of each position's passage. */
function countLevel(level, shorter, text, order, k, isFirst, numbers) {
  const n = order.length;
  const after = new Int32Array(n + 1);
  if (shorter) {
    shorter.preceding = new Int32Array(shorter.parents.length);
    if (n >= k) shorter.preceding[numbers[0]]++; // the start of the text
  }
  for (let i = 0, number = -1; i < n; i++) {
    const position = order[i];
    const last = text[position + k];
    if (!last) continue;
    if (isFirst[i]) {
      number++;
      level.parents[number] = numbers[position];
      level.characters[number] = last - 1;
      if (shorter) shorter.preceding[numbers[position + 1]]++;
    }
    level.occurrences[number]++;
    after[position] = number;
  }
  return after;
}

/** Return the arrays of CountTable in charrnn/counts/table.py, in which K is the last level. */
export function buildTable(levels) {
  const top = levels.length - 1;
  const isKept = (level, j) => level.preceding !== null || level.occurrences[j] > 1;
  let inner = 1;
  let numNodes = 1;
  for (const [k, level] of levels.entries()) {
    if (k < top) inner += level.parents.length;
    for (let j = 0; j < level.parents.length; j++) if (isKept(level, j)) numNodes++;
  }
  const table = {
    characters: new Uint32Array(numNodes),
    counts: new Uint32Array(numNodes),
    children: new Uint32Array(inner),
    dropped: new Uint32Array(inner),
  };
  for (let k = 0, first = 0, node = 1; k <= top; k++) { // `first` is the first parent
    const { parents, characters, preceding, occurrences } = levels[k];
    for (let j = 0; j < parents.length; j++) {
      const parent = first + parents[j];
      if (!isKept(levels[k], j)) {
        table.dropped[parent]++;
        continue;
      }
      table.characters[node] = characters[j];
      table.counts[node++] = (preceding ?? occurrences)[j];
      table.children[parent]++;
    }
    first += k ? levels[k - 1].parents.length : 1;
  }
  // nodes without children need no count
  for (let i = 0; i < inner; i++) if (!table.children[i]) table.dropped[i] = 0;
  return table;
}

/** Count the words of a text, and its runs of one character, as charrnn/counts does. */

import { findSorted, sortByKey } from "./sorted.js";

const UNKNOWN = -1; // the node after too many letters

/** Return the numbers (V,) of the letters among characters; 0 for other characters. */
export function numberLetters(tokens) {
  const numbers = new Map();
  return Uint32Array.from(tokens, (token) => {
    if (!/^[\p{L}\p{M}]/u.test(token)) return 0;
    const letter = token.toLowerCase();
    if (!numbers.has(letter)) numbers.set(letter, numbers.size + 1);
    return numbers.get(letter);
  });
}

/**
 * Return the arrays of WordTable in charrnn/counts/words.py; null without letters, or if no table
 * is small enough.
 *
 * @param {ArrayLike<number>} ids  The text (n,).
 * @param {Uint32Array} letters  (V,)
 * @param {object} constants  Of charrnn/counts.
 */
export function countWords(ids, letters, { max_letters, max_entries }) {
  const letterAt = new Uint32Array(ids.length);
  let hasLetters = false;
  for (let i = 0; i < ids.length; i++) {
    letterAt[i] = letters[ids[i]];
    hasLetters ||= letterAt[i] > 0;
  }
  if (!hasLetters) return null;
  const { nodes, numNodes } = numberNodes(letterAt, max_letters);
  const counted = []; // positions inside known words, and at the first letter of a word
  for (let i = 0; i < ids.length; i++) {
    if (nodes[i] > 0 || (nodes[i] === 0 && letterAt[i])) counted.push(i);
  }
  const byId = sortByKey(Int32Array.from(counted), ids, letters.length);
  const order = sortByKey(byId, nodes, numNodes.at(-1));
  const entries = { nodes: [], ids: [], counts: [] };
  for (let i = 0, node = -1, id = -1; i < order.length; i++) {
    const position = order[i];
    if (nodes[position] !== node || ids[position] !== id) {
      node = nodes[position];
      id = ids[position];
      entries.nodes.push(node);
      entries.ids.push(id);
      entries.counts.push(0);
    }
    entries.counts[entries.counts.length - 1]++;
  }
  const most = max_entries * Math.ceil((ids.length + 1) / 100_000);
  // Leave out the longest beginnings until the table is small enough.
  for (const num of numNodes.slice(1).reverse()) {
    const n = findSorted(entries.nodes, 0, entries.nodes.length, num);
    if (n > most) continue;
    const sizes = new Uint32Array(num);
    for (let entry = 0; entry < n; entry++) sizes[entries.nodes[entry]]++;
    const characters = Uint32Array.from(entries.ids.slice(0, n));
    const counts = Uint32Array.from(entries.counts.slice(0, n));
    return { letters, sizes, characters, counts };
  }
  return null;
}

/**
 * Number the beginnings of words, shorter ones first.
 *
 * @param {Uint32Array} letterAt  The letter of each character, 0 for other characters.
 * @returns {{nodes: Int32Array, numNodes: number[]}} The node (n + 1,) before each character, and
 *   the number of nodes with at most 0, 1, 2, ... letters.
 */
function numberNodes(letterAt, maxLetters) {
  const nodes = new Int32Array(letterAt.length + 1);
  let here = []; // the positions of the letters at one depth
  for (let i = 0, depth = 0; i < letterAt.length; i++) {
    depth = letterAt[i] ? depth + 1 : 0;
    if (depth === 1) here.push(i);
    if (depth > maxLetters) nodes[i + 1] = UNKNOWN;
  }
  const width = letterAt.reduce((a, b) => Math.max(a, b), 0) + 1;
  const numNodes = [1];
  for (let depth = 1; depth <= maxLetters; depth++) {
    const byLetter = sortByKey(Int32Array.from(here), letterAt, width);
    const order = sortByKey(byLetter, nodes, numNodes.at(-1));
    here = [];
    let number = numNodes.at(-1) - 1;
    for (let i = 0, node = -1, letter = 0; i < order.length; i++) {
      const position = order[i];
      if (nodes[position] !== node || letterAt[position] !== letter) number++;
      node = nodes[position];
      letter = letterAt[position];
      nodes[position + 1] = number;
      if (letterAt[position + 1]) here.push(position + 1);
    }
    numNodes.push(number + 1);
  }
  return { nodes, numNodes };
}

/** Return the arrays of RunLengths in charrnn/counts/run_lengths.py; `least` is the least length. */
export function countRuns(ids, least, { max_run, min_repeats }) {
  const found = new Map(); // by character: the number of runs by their length
  for (let first = 0, i = 1; i <= ids.length; i++) {
    if (i < ids.length && ids[i] === ids[first]) continue;
    const length = Math.min(i - first, max_run);
    if (length >= least) {
      const runs = found.get(ids[first]) ?? new Map();
      found.set(ids[first], runs.set(length, (runs.get(length) ?? 0) + 1));
    }
    first = i;
  }
  const isUsed = ([, runs]) =>
    [...runs].reduce((sum, [length, times]) => sum + (length - least) * times, 0) >= min_repeats;
  const rows = [...found].filter(isUsed).sort(([a], [b]) => a - b);
  const counts = new Uint32Array(rows.length * (max_run + 1));
  rows.forEach(([, runs], row) => {
    for (const [length, times] of runs) counts[row * (max_run + 1) + length] = times;
  });
  return { characters: Uint32Array.from(rows, ([id]) => id), counts };
}

/** Count the pairs of words of a text, as charrnn/counts/pairs.py does. */

import { END } from "./trie.js";

const SPACE = /^[\p{White_Space}\x1c-\x1f]$/u; // what str.isspace accepts in Python

/** Return the symbols (V,): letters have their numbers, and all white space is one. */
function numberSymbols(tokens, { letters, numSymbols }) {
  const numbers = new Map();
  return Uint32Array.from(tokens, (token, id) => {
    if (letters[id]) return letters[id];
    const mark = SPACE.test(token) ? " " : token;
    if (!numbers.has(mark)) numbers.set(mark, numSymbols + numbers.size);
    return numbers.get(mark);
  });
}

/**
 * Return the arrays of PairTable.
 *
 * @param {ArrayLike<number>} ids  The text (n,).
 * @param {string[]} tokens  The characters (V,).
 * @param {import("./words.js").WordTable} words  Of the text.
 * @param {number} maxMarks  The most marks between two words.
 */
export function countPairs(ids, tokens, words, maxMarks) {
  const symbols = numberSymbols(tokens, words);
  const ends = new Map(words.listWords().map(({ node }, word) => [node, word]));
  const found = new Map(); // the first word, the marks and the second word, and the count
  let first; // the last word
  let marks = [];
  for (let i = 0, node = 0; i < ids.length; i++) {
    const before = node;
    node = words.extend(node, ids[i]);
    if (node !== 0) continue;
    if (before !== 0) {
      const second = before > 0 ? ends.get(words.trie.find(before, END)) : undefined;
      if (first !== undefined && second !== undefined && marks.length <= maxMarks) {
        const row = [first, ...Array.from({ length: maxMarks }, (_, n) => marks[n] ?? 0), second];
        const pair = found.get(row.join()) ?? { row, count: 0 };
        pair.count++;
        found.set(row.join(), pair);
      }
      first = second;
      marks = [];
    }
    if (marks.length <= maxMarks) marks.push(symbols[ids[i]]);
  }
  const pairs = [...found.values()].sort((a, b) => compareRows(a.row, b.row));
  const sizes = new Uint32Array(ends.size);
  for (const { row } of pairs) sizes[row[0]]++;
  return {
    symbols, sizes,
    marks: Uint32Array.from(pairs.flatMap(({ row }) => row.slice(1, -1))),
    seconds: Uint32Array.from(pairs, ({ row }) => row.at(-1)),
    counts: Uint32Array.from(pairs, ({ count }) => count),
  };
}

function compareRows(a, b) {
  const place = a.findIndex((number, n) => number !== b[n]);
  return place < 0 ? 0 : a[place] - b[place];
}

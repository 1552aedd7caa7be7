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
  const base = symbols.reduce((a, b) => Math.max(a, b), 0) - words.numSymbols + 2;
  const found = new Map(); // the code of the marks, and the count, by the two words and the marks
  let first; // the last word
  let marks = [];
  for (let i = 0, node = 0; i < ids.length; i++) {
    const before = node;
    node = words.extend(node, ids[i]);
    if (node !== 0) continue;
    if (before !== 0) {
      const second = before > 0 ? ends.get(words.trie.find(before, END)) : undefined;
      if (first !== undefined && second !== undefined && marks.length <= maxMarks) {
        let code = 0;
        for (let n = 0; n < maxMarks; n++) code = code * base + (marks[n] ?? 0);
        const key = `${first} ${code} ${second}`;
        const pair = found.get(key) ?? { first, code, second, count: 0 };
        pair.count++;
        found.set(key, pair);
      }
      first = second;
      marks = [];
    }
    if (marks.length <= maxMarks) marks.push(symbols[ids[i]] - words.numSymbols + 1);
  }
  const pairs = [...found.values()].sort((a, b) =>
    a.first - b.first || a.code - b.code || a.second - b.second);
  const codes = [...new Set(pairs.map(({ code }) => code))].sort((a, b) => a - b);
  const places = new Map(codes.map((code, place) => [code, place]));
  const sizes = new Uint32Array(ends.size);
  for (const pair of pairs) sizes[pair.first]++;
  const kinds = codes.flatMap((code) => Array.from({ length: maxMarks }, (_, n) => {
    const mark = Math.floor(code / base ** (maxMarks - 1 - n)) % base;
    return mark && mark + words.numSymbols - 1;
  }));
  return {
    symbols, kinds: Uint32Array.from(kinds), sizes,
    marks: Uint32Array.from(pairs, ({ code }) => places.get(code)),
    seconds: Uint32Array.from(pairs, ({ second }) => second),
    counts: Uint32Array.from(pairs, ({ count }) => count),
  };
}

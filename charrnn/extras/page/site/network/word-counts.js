/** Count the words of a text, and its runs of one character, as charrnn/counts does. */

import { END, buildLevels, countSymbols } from "./trie.js";

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
  const words = [...findWords(ids, letters).values()];
  const counts = [0, ...words.map(({ count }) => count)]; // 0 of the empty word
  const numSymbols = countSymbols(letters);
  const most = max_entries * Math.ceil(ids.length / 100_000);
  // Leave out the longest beginnings until the table is small enough.
  for (let longest = ids.some((id) => letters[id]) ? max_letters : 0; longest > 0; longest--) {
    const rows = words.map(({ symbols }) => symbols.slice(0, longest + 1));
    rows.unshift([END]);
    const levels = buildLevels(rows, Array(rows.length).fill(0), counts, numSymbols, 1);
    if (levels.keys.length > most) continue;
    const sizes = new Uint32Array(1 + levels.keys.length);
    for (const key of levels.keys) sizes[Math.floor(key / numSymbols)]++;
    const symbols = Uint32Array.from(levels.keys, (key) => key % numSymbols);
    return { letters, sizes, symbols, counts: Uint32Array.from(levels.counts) };
  }
  return null;
}

/** Return the different words that another character follows: their letters and END, and counts. */
function findWords(ids, letters) {
  const words = new Map();
  let symbols = [];
  for (let i = 0; i < ids.length; i++) {
    const letter = letters[ids[i]];
    if (letter) symbols.push(letter);
    else if (symbols.length) {
      const key = symbols.join();
      const word = words.get(key) ?? { symbols: [...symbols, END], count: 0 };
      word.count++;
      words.set(key, word);
      symbols = [];
    }
  }
  return words;
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

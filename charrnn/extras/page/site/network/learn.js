/**
 * Learn a text by counting, as charrnn/training/counting.py does without a network.
 *
 * All work is in generators that yield often, so that the page can pause and show its progress.
 */

import { chooseContext, listDiscounts } from "./context-choice.js";
import { buildTable, countLevels } from "./passages.js";
import { PART } from "./sorting.js";
import { findPrimer, isCode, isList, shuffleLines } from "./text-kinds.js";
import { countRuns, countWords, numberLetters } from "./word-counts.js";

/**
 * Learn a text. Yields what it does, for readers, or undefined in between.
 *
 * @param {string} text  Well-formed, of 2 or more different characters.
 * @param {object} constants  Those that charrnn/extras/page/learning.py lists.
 * @param {object} [options]
 * @param {boolean} [options.countsAll]  Whether the whole text is counted once the length of
 *   contexts is chosen, and not only its training split, as in Python.
 * @param {ArrayLike<number> | null} [options.order]  The order of the lines of a list.
 * @returns {Generator<string | undefined, {tokens: string[], isCode: boolean, isList: boolean,
 *   primer: string, packed: object, arrays: Record<string, Uint8Array | Uint16Array | Uint32Array>}>}
 *   The characters, and the arguments of `Counts` (counts.js).
 */
export function* learn(text, constants, { countsAll = true, order = null } = {}) {
  const { counts } = constants;
  yield "Reading the text";
  const isShuffled = isList(text, constants.lists);
  const { joined, heldOut } = yield* split(text, constants, isShuffled, order);
  const { tokens, ids } = yield* encode(joined);
  const numTrain = ids.length - heldOut.val - heldOut.test;
  const train = ids.subarray(0, numTrain);
  yield "Sorting passages";
  const tried = yield* countLevels(train, tokens.length, counts.max_context, counts.max_nodes);
  yield "Choosing the length of passages";
  const val = ids.subarray(numTrain, numTrain + heldOut.val);
  const context = yield* chooseContext(tried, val, tokens.length, counts);
  const known = countsAll ? ids : train;
  yield `Sorting passages of up to ${context + 1} characters`;
  const levels = countsAll ? yield* countLevels(ids, tokens.length, context) : tried;
  // The last level has no level after it that counts its preceding characters.
  const kept = levels.slice(0, context + 1).map((level, k) =>
    (k < context ? level : { ...level, preceding: null }));
  const table = yield* buildTable(kept);
  yield "Counting words";
  const least = Math.max(context, counts.least_run);
  const runs = yield* countRuns(known, least, counts);
  const words = isShuffled ? null : yield* countWords(known, numberLetters(tokens), counts);
  yield "Storing the counts";
  const place = Array(context + 1).fill([0, 1]); // the counts only
  return {
    tokens,
    isCode: isCode(text, constants),
    isList: isShuffled,
    primer: findPrimer(joined),
    packed: {
      ...constants.packed,
      vocabulary_size: tokens.length,
      context,
      by_place: [place, place],
      needs_network: false,
      least_run: least,
      num_complete: words?.numComplete ?? 0,
      discounts: listDiscounts(context, counts),
    },
    arrays: {
      ...(yield* shrink(splitCounts(table, counts.many))),
      ...rename("run_", runs),
      ...rename("word_", words && (yield* shrink(splitCounts(words.arrays, counts.many)))),
    },
  };
}

/** Return the text with its held-out parts at its end, and their sizes in characters. */
function* split(text, { share, largest_split }, isShuffled, order) {
  let size = 0;
  for (const _ of text) if (size++ % PART === 0) yield;
  const held = Math.min(Math.floor(share * size), largest_split);
  const heldOut = { val: held, test: held };
  return isShuffled ? yield* shuffleLines(text, heldOut, order) : { joined: text, heldOut };
}

/** Return the characters of a text in the order of their first use, and its ids. */
function* encode(text) {
  const numbers = new Map();
  const ids = new Uint32Array(text.length); // longer than the text if it has surrogate pairs
  let n = 0;
  for (const character of text) {
    if (n % PART === 0) yield;
    let id = numbers.get(character);
    if (id === undefined) numbers.set(character, id = numbers.size);
    ids[n++] = id;
  }
  const Ids = numbers.size < 255 ? Uint8Array : Uint32Array; // ids that count from 1 fit
  return { tokens: [...numbers.keys()], ids: new Ids(ids.subarray(0, n)) };
}

/** Split off large counts, as `split_counts` in charrnn/counts/table.py does. */
function splitCounts({ counts, ...arrays }, many) {
  const limited = counts.map((n) => Math.min(n, many));
  return { ...arrays, counts: limited, many: counts.filter((n) => n >= many) };
}

/** Return arrays in the smallest unsigned type that fits, as `to_smallest_type` does. */
function* shrink(arrays) {
  const shrunk = {};
  for (const [name, values] of Object.entries(arrays)) {
    yield;
    let largest = 0;
    for (const value of values) if (value > largest) largest = value;
    const Type = largest < 256 ? Uint8Array : largest < 65536 ? Uint16Array : Uint32Array;
    shrunk[name] = new Type(values);
  }
  return shrunk;
}

function rename(prefix, arrays) {
  const renamed = Object.entries(arrays ?? {}).map(([name, values]) => [prefix + name, values]);
  return Object.fromEntries(renamed);
}

/** Learn a text by counting, as charrnn/training/counting.py does without a network. */

import { chooseContext, listDiscounts } from "./context-choice.js";
import { countPairs } from "./pair-counts.js";
import { buildTable, countLevels } from "./passages.js";
import { describePunctuation } from "./punctuation.js";
import { countCharacters, findPrimer, isCode, isList, shuffleLines } from "./text-kinds.js";
import { countRuns, countWords, numberLetters } from "./word-counts.js";
import { WordTable } from "./words.js";

/**
 * Learn a text.
 *
 * @param {string} text  Well-formed, of 2 or more different characters.
 * @param {object} constants  Those that charrnn/extras/page/packing.py lists.
 * @param {(step: string) => void} report  Called with what is done next, for readers.
 * @param {object} [options]
 * @param {boolean} [options.countsAll]  Whether the whole text is counted once the length of
 *   contexts is chosen, and not only its training split, as in Python.
 * @param {ArrayLike<number> | null} [options.order]  The order of the lines of a list.
 * @returns {{tokens: string[], isCode: boolean, isList: boolean, primer: string,
 *   punctuation: object, packed: object,
 *   arrays: Record<string, Uint8Array | Uint16Array | Uint32Array>}}
 *   The characters, and the arguments of `Counts` (counts.js).
 */
export function learn(text, constants, report, { countsAll = true, order = null } = {}) {
  const { counts } = constants;
  report("Reading the text");
  const isShuffled = isList(text, constants.lists);
  const { joined, heldOut } = split(text, constants, isShuffled, order);
  const { tokens, ids } = encode(joined);
  const numTrain = ids.length - heldOut.val - heldOut.test;
  const train = ids.subarray(0, numTrain);
  report("Sorting passages");
  const tried = countLevels(train, tokens.length, counts.max_context, counts.max_nodes);
  report("Choosing the length of passages");
  const val = ids.subarray(numTrain, numTrain + heldOut.val);
  const letters = numberLetters(tokens);
  const describe = (levels, words) => (context) => {
    const place = Array(context + 1).fill([0, 1]); // the counts only
    const packed = {
      ...constants.packed,
      vocabulary_size: tokens.length,
      context,
      by_place: [place, place],
      needs_network: false,
      least_run: 0,
      discounts: listDiscounts(context, counts),
    };
    // The last level has no level after it that counts its preceding characters.
    const kept = levels.slice(0, context + 1).map((level, k) =>
      (k < context ? level : { ...level, preceding: null }));
    return [packed, {
      ...shrink(buildTable(kept)),
      ...words,
    }];
  };
  const wordsOf = (known) => {
    const counted = isShuffled ? null : countWords(known, letters, counts);
    if (!counted) return null;
    const words = rename("word_", shrink(counted));
    const table = new WordTable(constants.packed, words);
    const pairs = countPairs(known, tokens, table, constants.packed.max_marks);
    return { ...words, ...rename("pair_", shrink(pairs)) };
  };
  const triedWords = wordsOf(train);
  const longest = tried.length - 1;
  const context = chooseContext(longest, describe(tried, triedWords), val, counts);
  report("Counting passages");
  const levels = countsAll ? countLevels(ids, tokens.length, context) : tried;
  report("Counting words");
  const words = countsAll ? wordsOf(ids) : triedWords;
  const [packed, arrays] = describe(levels, words)(context);
  const least = Math.max(context, counts.least_run);
  const runs = countRuns(countsAll ? ids : train, least, counts);
  return {
    tokens,
    isCode: isCode(text, constants),
    isList: isShuffled,
    primer: findPrimer(joined),
    punctuation: describePunctuation(
      Array.from(train.subarray(0, constants.punctuation.max_read), (id) => tokens[id]),
      constants.punctuation,
    ),
    packed: { ...packed, least_run: least },
    arrays: { ...arrays, ...rename("run_", shrink(runs)) },
  };
}

/** Return the text with its held-out parts at its end, and their sizes in characters. */
function split(text, { share, largest_split }, isShuffled, order) {
  const held = Math.min(Math.floor(share * countCharacters(text)), largest_split);
  const heldOut = { val: held, test: held };
  return isShuffled ? shuffleLines(text, heldOut, order) : { joined: text, heldOut };
}

/** Return the characters of a text in the order of their first use, and its ids. */
function encode(text) {
  const numbers = new Map();
  const ids = new Uint32Array(text.length); // longer than the text if it has surrogate pairs
  let n = 0;
  for (const character of text) {
    let id = numbers.get(character);
    if (id === undefined) numbers.set(character, id = numbers.size);
    ids[n++] = id;
  }
  const Ids = numbers.size < 255 ? Uint8Array : Uint32Array; // ids that count from 1 fit
  return { tokens: [...numbers.keys()], ids: new Ids(ids.subarray(0, n)) };
}

/** Return arrays in the smallest unsigned type that fits, as charrnn/counts/table.py does. */
function shrink(arrays) {
  const shrunk = {};
  for (const [name, values] of Object.entries(arrays)) {
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

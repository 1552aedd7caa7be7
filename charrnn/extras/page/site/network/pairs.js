/** A table of word pairs, as charrnn/counts/pairs.py has it. */

import { findSorted } from "./sorted.js";

const END = 0; // the symbol of all characters but letters, after the second word

export class PairTable {
  /**
   * @param {object} packed  The packed counts (`Counts`).
   * @param {object} arrays  The arrays of PairTable.to_arrays in Python.
   * @param {import("./words.js").WordTable} words
   */
  constructor(packed, arrays, words) {
    this.weights = packed.pair_weights; // of several continuations, and of a single one
    this.letters = words.letters;
    this.symbols = arrays.pair_symbols;
    this.numSymbols = this.symbols.reduce((a, b) => Math.max(a, b), 0) + 1;
    this.first = words.sizes.length; // the number of the first node
    this.#build(listPairs(arrays, words, packed.max_marks), arrays.pair_counts);
    this.discount = packed.pair_discount;
    this.members = listMembers(this.symbols, this.numSymbols, words.width);
  }

  /** Build the trie of pairs: the key, the count and the first child of each node. */
  #build({ nodes, spell }, pairCounts) {
    const { first, numSymbols } = this;
    const keys = [];
    const counts = [];
    let rows = [...nodes.keys()];
    for (let column = 0; rows.length; column++) {
      const ofRows = rows.map((row) => nodes[row] * numSymbols + spell(row, column));
      const sorted = Float64Array.from(new Set(ofRows)).sort();
      const start = keys.length;
      for (const key of sorted) {
        keys.push(key);
        counts.push(0);
      }
      rows.forEach((row, i) => {
        const node = start + findSorted(sorted, 0, sorted.length, ofRows[i]);
        counts[node] += pairCounts[row];
        nodes[row] = first + node;
      });
      rows = rows.filter((_, i) => ofRows[i] % numSymbols !== END);
    }
    this.keys = Float64Array.from(keys);
    this.counts = counts;
  }

  /** Return the node after one more character, from the nodes of word and pair before it. */
  extend(id, word, pair) {
    const parent = word && !this.letters[id] ? word : pair;
    if (parent <= 0) return 0;
    const key = parent * this.numSymbols + this.symbols[id];
    const place = findSorted(this.keys, 0, this.keys.length, key);
    return this.keys[place] === key ? this.first + place : 0;
  }

  /** Return the characters and the count of each symbol in a node. */
  #listEntries(node) {
    const { keys, numSymbols, counts, members } = this;
    const entries = [];
    let entry = findSorted(keys, 0, keys.length, node * numSymbols);
    for (; keys[entry] < (node + 1) * numSymbols; entry++) {
      entries.push({ ids: members[keys[entry] % numSymbols], count: counts[entry] });
    }
    return entries;
  }

  /**
   * Add the weighted scores of a node to logits (V,).
   *
   * @param {Float64Array} p  (V,), the prediction of counts and words, which has this total.
   */
  addScores(logits, node, p, total) {
    const counted = this.#listEntries(node).filter(({ count }) => count > 0);
    const weight = this.weights[counted.length === 1 ? 1 : 0];
    for (const { ids, count } of counted) {
      const ratio = Math.fround((count - this.discount) / (this.discount * counted.length));
      const mass = ids.reduce((sum, id) => sum + p[id], 0);
      const score = weight * Math.log1p(ratio * total / mass);
      for (const id of ids) logits[id] += score;
    }
  }

  /** Add the cost of leaving the known pairs at a node to the score of each character that stays. */
  addStaying(scores, node, cost) {
    const times = node ? this.counts[node - this.first] : 0;
    if (times < 2) return;
    for (const { ids } of this.#listEntries(node)) {
      for (const id of ids) scores[id] += cost * (2 - 2 / times);
    }
  }
}

/** Return the node (P,) of the first word of each pair, and a function that spells the rest. */
function listPairs(arrays, words, maxMarks) {
  const { pair_kinds: kinds, pair_sizes: sizes, pair_marks: marks, pair_seconds: seconds } = arrays;
  const ends = words.listEnds();
  const spelled = ends.map((node) => words.spell(node));
  const nodes = ends.flatMap((node, word) => Array(sizes[word]).fill(node));
  const between = Array.from({ length: kinds.length / maxMarks }, (_, kind) =>
    [...kinds.slice(kind * maxMarks, (kind + 1) * maxMarks)].filter((symbol) => symbol > 0));
  const spell = (row, column) => {
    const before = between[marks[row]];
    return before[column] ?? spelled[seconds[row]][column - before.length] ?? END;
  };
  return { nodes, spell };
}

/** Return the characters of each symbol; those of END are all marks. */
function listMembers(symbols, numSymbols, width) {
  const members = Array.from({ length: numSymbols }, () => []);
  symbols.forEach((symbol, id) => members[symbol].push(id));
  members[END] = members.slice(width).flat();
  return members;
}

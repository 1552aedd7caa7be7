/** A table of word pairs, as charrnn/counts/pairs.py has it. */

import { END, Trie, buildLevels, countSymbols } from "./trie.js";

export class PairTable {
  /**
   * @param {object} packed  The packed counts (`Counts`).
   * @param {object} arrays  The arrays of PairTable.to_arrays in Python.
   * @param {import("./words.js").WordTable} words
   */
  constructor(packed, arrays, words) {
    this.words = words;
    this.symbols = arrays.pair_symbols;
    const first = words.sizes.length; // the number of the first node
    const { nodes, rows } = listPairs(arrays, words, packed.max_marks);
    const numSymbols = countSymbols(this.symbols);
    const levels = buildLevels(rows, nodes, arrays.pair_counts, numSymbols, first);
    const { pair_discount: discount, pair_weights: weights } = packed;
    this.trie = new Trie(levels, first, this.symbols, words.letters, discount, weights);
  }

  /** Return the node after one more character, from the nodes of word and pair before it. */
  extend(id, word, pair) {
    let parent = pair;
    if (word && !this.words.letters[id]) parent = word > 0 ? this.words.trie.find(word, END) : 0;
    return parent ? this.trie.find(parent, this.symbols[id]) : 0;
  }

  /** Return the number of times that the text has what a node stands for. */
  countPassages(node) {
    return node ? this.trie.counts[node - this.trie.first] : 0;
  }
}

/** Return the node after the first word of each pair, and the symbols of the rest. */
function listPairs({ pair_sizes: sizes, pair_marks: marks, pair_seconds: seconds }, words, maxMarks) {
  const known = words.listWords();
  const between = (pair) =>
    [...marks.subarray(pair * maxMarks, (pair + 1) * maxMarks)].filter((symbol) => symbol > 0);
  return {
    nodes: known.flatMap(({ node }, word) => Array(sizes[word]).fill(node)),
    rows: Array.from(seconds, (word, pair) => [...between(pair), ...known[word].symbols]),
  };
}

/** A table of the letters of words, as charrnn/counts/words.py has it. */

import { END, Trie, countSymbols } from "./trie.js";

export const UNKNOWN = -1; // the node of letters with which no word of the table starts
const CUT = -2; // the node of letters after the longest beginning of a word in the table

export class WordTable {
  /**
   * @param {object} packed  The packed counts (`Counts`).
   * @param {object} arrays  The arrays of WordTable.to_arrays in Python.
   */
  constructor(packed, { word_letters: letters, word_sizes: sizes, word_symbols: symbols,
    word_counts: counts }) {
    Object.assign(this, { letters, sizes, symbols });
    this.numSymbols = countSymbols(letters);
    this.parents = [...sizes].flatMap((size, node) => Array(size).fill(node));
    const keys = this.parents.map((parent, place) => parent * this.numSymbols + symbols[place]);
    const { word_discount: discount, word_weights: weights } = packed;
    this.trie = new Trie({ keys, counts }, 1, letters, letters, discount, weights);
  }

  /** Return the node of the current word after one more character; 0 between words. */
  extend(node, id) {
    const letter = this.letters[id];
    if (!letter || node < 0) return letter ? node : 0;
    return this.trie.find(node, letter) || (this.sizes[node] ? UNKNOWN : CUT);
  }

  /** Return the node at which each word ends, and its symbols. The first word is empty. */
  listWords() {
    const spelled = [[]];
    this.parents.forEach((parent, place) =>
      spelled.push([...spelled[parent], this.symbols[place]]));
    const nodes = [...spelled.keys()].filter((node) => spelled[node].at(-1) === END);
    return nodes.map((node) => ({ node, symbols: spelled[node] }));
  }
}

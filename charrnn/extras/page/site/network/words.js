/** A table of the letters of words, as charrnn/counts/words.py has it. */

import { findSorted, joinCounts } from "./sorted.js";

const UNKNOWN = -1; // the node of a word that is not in the table

export class WordTable {
  /**
   * @param {object} packed  The packed counts (`Counts`).
   * @param {object} arrays  The arrays of WordTable.to_arrays in Python.
   */
  constructor(packed, { word_letters: letters, word_sizes: sizes, word_characters: characters,
    word_counts: counts, word_many: many }) {
    this.weights = packed.word_weights; // of several continuations, and of a single one
    this.discount = packed.word_discount;
    this.letters = letters;
    this.characters = characters;
    this.counts = joinCounts(counts, many, packed.many);
    this.width = Math.max(...letters) + 1;
    this.starts = new Uint32Array(sizes.length + 1);
    const keys = [];
    for (let node = 0; node < sizes.length; node++) {
      this.starts[node + 1] = this.starts[node] + sizes[node];
      const followers = characters.subarray(this.starts[node], this.starts[node + 1]);
      const children = new Set(Array.from(followers, (id) => letters[id]));
      children.delete(0);
      for (const letter of [...children].sort((a, b) => a - b)) {
        keys.push(node * this.width + letter);
      }
    }
    this.keys = Float64Array.from(keys.slice(0, sizes.length - 1));
  }

  /** Return the node of the current word after one more character; 0 between words. */
  extend(node, id) {
    const letter = this.letters[id];
    if (letter === 0) return 0;
    if (node === UNKNOWN) return UNKNOWN;
    const key = node * this.width + letter;
    const place = findSorted(this.keys, 0, this.keys.length, key);
    return this.keys[place] === key ? place + 1 : UNKNOWN;
  }

  /** Add the weighted scores of a word's node to logits (V,). p (V,) is the counts' prediction. */
  addScores(logits, node, p) {
    const first = this.starts[node];
    const size = this.starts[node + 1] - first;
    const weight = this.weights[size === 1 ? 1 : 0];
    for (let entry = first; entry < first + size; entry++) {
      const id = this.characters[entry];
      const ratio = Math.fround((this.counts[entry] - this.discount) / (this.discount * size));
      logits[id] += weight * Math.log1p(ratio / p[id]);
    }
  }
}

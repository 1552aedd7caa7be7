/** A table of the letters of words, as charrnn/counts/words.py has it. */

import { KnownWords } from "./known-words.js";
import { joinCounts } from "./sorted.js";

export class WordTable {
  /**
   * @param {object} packed  The packed counts (`Counts`).
   * @param {object} arrays  The arrays of WordTable.to_arrays in Python.
   */
  constructor(packed, { word_letters: letters, word_sizes: sizes, word_characters: characters,
    word_counts: counts, word_many: many }) {
    this.weights = packed.word_weights; // of several continuations, and of a single one
    this.discount = packed.word_discount;
    this.characters = characters;
    this.counts = joinCounts(counts, many, packed.many);
    const followers = Uint32Array.from(characters, (id) => letters[id]);
    this.known = new KnownWords(letters, sizes, followers, packed.num_complete);
  }

  /** Add the weighted scores of a word's node to logits (V,). p (V,) is the counts' prediction. */
  addScores(logits, node, p) {
    const first = this.known.starts[node];
    const size = this.known.starts[node + 1] - first;
    const weight = this.weights[size === 1 ? 1 : 0];
    for (let entry = first; entry < first + size; entry++) {
      const id = this.characters[entry];
      const ratio = Math.fround((this.counts[entry] - this.discount) / (this.discount * size));
      logits[id] += weight * Math.log1p(ratio / p[id]);
    }
  }
}

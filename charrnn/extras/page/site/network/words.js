/** A table of the letters of words, as charrnn/counts/words.py has it. */

import { findSorted } from "./sorted.js";

export const UNKNOWN = -1; // the node of letters with which no word of the table starts
const CUT = -2; // the node of letters with which words start that the table does not tell apart

export class WordTable {
  /**
   * @param {object} packed  The packed counts (`Counts`).
   * @param {object} arrays  The arrays of WordTable.to_arrays in Python.
   */
  constructor(packed, { word_letters: letters, word_sizes: sizes, word_characters: characters,
    word_counts: counts }) {
    Object.assign(this, { letters, sizes, characters, counts });
    this.weights = packed.word_weights; // of several continuations, and of a single one
    this.discount = packed.word_discount;
    this.width = letters.reduce((a, b) => Math.max(a, b), 0) + 1;
    this.starts = new Uint32Array(sizes.length + 1); // the first entry of each node
    const keys = new Set();
    for (let node = 0; node < sizes.length; node++) {
      this.starts[node + 1] = this.starts[node] + sizes[node];
      for (const letter of this.#listFollowers(node)) {
        if (letter) keys.add(node * this.width + letter);
      }
    }
    // of all nodes but the first
    this.keys = Float64Array.from(keys).sort().slice(0, sizes.length - 1);
  }

  /** Return the node of the current word after one more character; 0 between words. */
  extend(node, id) {
    const letter = this.letters[id];
    if (!letter || node < 0) return letter ? node : 0;
    const key = node * this.width + letter;
    const place = findSorted(this.keys, 0, this.keys.length, key);
    if (this.keys[place] === key) return place + 1;
    return this.#listFollowers(node).includes(letter) ? CUT : UNKNOWN;
  }

  /** Return the nodes at which a word ends, in ascending order. */
  listEnds() {
    const nodes = [...this.sizes.keys()].slice(1);
    return nodes.filter((node) => this.#listFollowers(node).includes(0));
  }

  /** Return the letters of a node. */
  spell(node) {
    const letters = [];
    for (let at = node; at > 0; at = Math.floor(this.keys[at - 1] / this.width)) {
      letters.unshift(this.keys[at - 1] % this.width);
    }
    return letters;
  }

  /** Return the characters that the text has after a node, with their ratios. */
  listEntries(node) {
    const entries = [];
    for (let entry = this.starts[node]; entry < this.starts[node + 1]; entry++) {
      if (this.counts[entry]) entries.push([this.characters[entry], this.counts[entry]]);
    }
    const { discount } = this;
    return entries.map(([id, count]) =>
      [id, Math.fround((count - discount) / (discount * entries.length))]);
  }

  /** Add the weighted scores of entries to logits (V,). p (V,) is the counts' prediction. */
  addScores(logits, entries, p) {
    const weight = this.weights[entries.length === 1 ? 1 : 0];
    for (const [id, ratio] of entries) logits[id] += weight * Math.log1p(ratio / p[id]);
  }

  /** Subtract a cost from the score of each character (V,) that leaves the words at a node. */
  subtractLeaving(scores, node, cost) {
    if (node < 0) return;
    const known = new Set(this.#listFollowers(node));
    if (node === 0) known.add(0);
    for (let id = 0; id < scores.length; id++) {
      if (!known.has(this.letters[id])) scores[id] -= cost;
    }
  }

  /** Return the letters of the characters after a node. */
  #listFollowers(node) {
    const characters = this.characters.slice(this.starts[node], this.starts[node + 1]);
    return Array.from(characters, (id) => this.letters[id]);
  }
}

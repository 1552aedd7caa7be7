/** The words of a text, and of its background, as charrnn/counts/known_words.py has them. */

import { findSorted } from "./sorted.js";

export const UNKNOWN = -1; // the node of letters with which no word begins

export class KnownWords {
  /**
   * @param {ArrayLike<number>} letters  (V,), the number of each letter; 0 for other characters.
   * @param {ArrayLike<number>} sizes  (M,), the number of followers of each node.
   * @param {Uint8Array | Uint16Array | Uint32Array} followers  The letters after each node, or 0 if a word ends there.
   * @param {number} numComplete  The number of nodes whose continuations are all in the trie.
   * @param {ArrayLike<number>} [ends]  A bit for each node at which a word ends, too.
   */
  constructor(letters, sizes, followers, numComplete, ends = []) {
    Object.assign(this, { letters, followers, numComplete, ends });
    this.width = letters.reduce((a, b) => Math.max(a, b), 0) + 1; // there may be many
    this.starts = new Uint32Array(sizes.length + 1); // the first follower of each node
    const keys = [];
    for (let node = 0; node < sizes.length; node++) {
      this.starts[node + 1] = this.starts[node] + sizes[node];
      let last = 0;
      for (const letter of followers.slice(this.starts[node], this.starts[node + 1]).sort()) {
        if (letter > last) keys.push(node * this.width + letter);
        last = letter;
      }
    }
    this.keys = Float64Array.from(keys.slice(0, sizes.length - 1)); // of all nodes but the first
  }

  /** Return the node of the current word after one more character; 0 between words. */
  extend(node, id) {
    const letter = this.letters[id];
    if (letter === 0) return 0;
    if (node < 0) return UNKNOWN;
    const key = node * this.width + letter;
    const place = findSorted(this.keys, 0, this.keys.length, key);
    return this.keys[place] === key ? place + 1 : UNKNOWN;
  }

  /**
   * Return the cost of each letter (W,) after a node, that of 0 for all other characters: `cost` if
   * they leave the known words. Return null if all characters are free.
   */
  makeCosts(node, cost) {
    if (node < 0 || node >= this.numComplete) return null;
    const costs = new Float32Array(this.width).fill(cost);
    const followers = this.followers.subarray(this.starts[node], this.starts[node + 1]);
    for (const letter of followers) costs[letter] = 0;
    if (node === 0 || (this.ends[node >> 3] << node % 8) & 0x80) costs[0] = 0;
    return costs;
  }
}

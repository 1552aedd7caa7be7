/** A trie of symbols, as charrnn/counts/tries.py has it. */

import { findSorted } from "./sorted.js";

export const END = 0; // the symbol of all characters but letters, after a word

/**
 * Return the nodes of sequences of symbols, level by level: their keys and counts.
 *
 * @param {number[][]} rows  The sequences.
 * @param {number[]} nodes  The node at which each starts.
 * @param {ArrayLike<number>} counts  How often each occurs.
 * @param {number} numSymbols
 * @param {number} first  The number of the first new node.
 */
export function buildLevels(rows, nodes, counts, numSymbols, first) {
  const levels = { keys: [], counts: [] };
  const parents = [...nodes];
  let active = [...rows.keys()];
  for (let column = 0; active.length; column++) {
    const keys = active.map((row) => parents[row] * numSymbols + rows[row][column]);
    const sorted = Float64Array.from(new Set(keys)).sort();
    const start = levels.keys.length;
    for (const key of sorted) {
      levels.keys.push(key);
      levels.counts.push(0);
    }
    active.forEach((row, i) => {
      const place = start + findSorted(sorted, 0, sorted.length, keys[i]);
      levels.counts[place] += counts[row];
      parents[row] = first + place;
    });
    active = active.filter((row) => rows[row].length > column + 1);
  }
  return levels;
}

export class Trie {
  /**
   * @param {{keys: ArrayLike<number>, counts: ArrayLike<number>}} levels  The nodes.
   * @param {number} first  The number of the first of them.
   * @param {ArrayLike<number>} symbols  (V,), the symbol of each character.
   * @param {ArrayLike<number>} letters  (V,), 0 for the characters that END stands for.
   * @param {number} discount
   * @param {[number, number]} weights  Of several continuations, and of a single one.
   */
  constructor({ keys, counts }, first, symbols, letters, discount, weights) {
    Object.assign(this, { first, counts, discount, weights });
    const numSymbols = countSymbols(symbols);
    this.symbols = Uint32Array.from(keys, (key) => key % numSymbols);
    this.starts = new Uint32Array(first + keys.length + 1); // the first child of each node
    for (const key of keys) this.starts[Math.floor(key / numSymbols) + 1]++;
    for (let node = 1; node < this.starts.length; node++) {
      this.starts[node] += this.starts[node - 1];
    }
    this.members = Array.from({ length: numSymbols }, () => []);
    symbols.forEach((symbol, id) => this.members[symbol].push(id));
    this.members[END] = [...letters.keys()].filter((id) => !letters[id]);
  }

  /** Return the child of a node by a symbol; 0 if it has none. */
  find(parent, symbol) {
    const end = this.starts[parent + 1];
    const place = findSorted(this.symbols, this.starts[parent], end, symbol);
    return place < end && this.symbols[place] === symbol ? this.first + place : 0;
  }

  /** Return the ids of the characters that are known after a node. */
  listFollowers(node) {
    return this.#listEntries(node).flatMap(({ ids }) => ids);
  }

  /**
   * Add the weighted scores of what follows a node to logits (V,), and to the prediction.
   *
   * @param {Float64Array} p  (V,), the prediction without them, which has this total.
   * @returns {number} The new total.
   */
  addScores(logits, node, p, total) {
    const counted = this.#listEntries(node).filter(({ count }) => count > 0);
    const weight = this.weights[counted.length === 1 ? 1 : 0];
    let added = 0;
    for (const { ids, count } of counted) {
      const ratio = Math.fround((count - this.discount) / (this.discount * counted.length));
      const gain = ratio * total / ids.reduce((sum, id) => sum + p[id], 0);
      const score = weight * Math.log1p(gain);
      for (const id of ids) {
        logits[id] += score;
        p[id] *= 1 + gain;
      }
      added += ratio * total;
    }
    return total + added;
  }

  /** Return the characters and the count of each symbol in a node. */
  #listEntries(node) {
    const entries = [];
    for (let place = this.starts[node]; place < this.starts[node + 1]; place++) {
      entries.push({ ids: this.members[this.symbols[place]], count: this.counts[place] });
    }
    return entries;
  }
}

/** Return the number of different symbols (V,), including END. */
export function countSymbols(symbols) {
  return symbols.reduce((a, b) => Math.max(a, b), END) + 1;
}

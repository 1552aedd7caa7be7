/**
 * Mix counts of the training text with a network, as charrnn/counts does in Python.
 *
 * The contexts of a text, of 1 to K characters, are nodes of a trie. The last K + 3 numbers of a
 * state are the nodes of the current contexts (0 is a context that is not in the trie), the node of
 * the current word, the node of the current pair of words, and the length of the current run of
 * one character.
 */

import { PairTable } from "./pairs.js";
import { RunLengths } from "./runs.js";
import { findSorted } from "./sorted.js";
import { WordTable } from "./words.js";

export class Counts {
  /**
   * @param {object} packed  `header.counts` of a packed model.
   * @param {number} packed.vocabulary_size  V.
   * @param {number} packed.context  K, the length of the longest contexts.
   * @param {[number, number][][]} packed.by_place  The weights of network and counts between words
   *   and inside words, by the length of the longest known context.
   * @param {boolean} packed.needs_network  Whether the network has a weight.
   * @param {number} packed.least_run  The length from which a run counts.
   * @param {number} packed.max_run  Longer runs count as runs of this length.
   * @param {number} packed.continues, packed.odds_beyond, packed.margin  As in run_lengths.py.
   * @param {[number, number]} packed.word_weights  The weights of a word's continuations: of
   *   several, and of a single one.
   * @param {number} packed.word_discount  The discount of a word's continuations.
   * @param {[number, number]} packed.pair_weights  Those of a pair's continuations.
   * @param {number} packed.pair_discount, packed.max_marks  As in pairs.py.
   * @param {[number, number, number][]} packed.discounts  The discounts of counts of 1, 2, and 3
   *   or more, by the length of the context.
   * @param {object} arrays  The arrays of Counts.to_arrays in Python.
   */
  constructor(packed, arrays) {
    const { vocabulary_size: size, context, by_place: byPlace, discounts } = packed;
    const { characters, children, dropped } = arrays;
    this.context = context;
    this.byPlace = byPlace;
    this.needsNetwork = packed.needs_network;
    this.runs = packed.least_run ? new RunLengths(packed, arrays) : null;
    this.maxRun = packed.max_run;
    this.words = arrays.word_sizes ? new WordTable(packed, arrays) : null;
    this.pairs = arrays.pair_symbols ? new PairTable(packed, arrays, this.words) : null;
    this.discounts = discounts;
    this.characters = characters;
    this.dropped = dropped;
    this.counts = arrays.counts;
    this.starts = new Uint32Array(children.length + 1); // the first child of each node
    this.starts[0] = 1;
    for (let node = 0; node < children.length; node++) {
      this.starts[node + 1] = this.starts[node] + children[node];
    }
    this.mass = new Float32Array(size); // the discounted probability of each child of a node
    this.unigram = new Float32Array(size).fill(1 / size);
    this.#interpolate(this.unigram, 0, 0);
    this.p = new Float32Array(size);
  }

  /** Replace the state (K + 3,) before a character by the state after it. */
  extend(state, id) {
    const K = this.context;
    const last = state[0];
    let shorter = 0;
    let isInTrie = true;
    for (let k = 0; k < K; k++) {
      const node = state[k];
      state[k] = isInTrie ? this.#findChild(shorter, id) : 0;
      isInTrie = state[k] > 0 && node > 0;
      shorter = node;
    }
    state[K + 1] = this.pairs ? this.pairs.extend(id, state[K], state[K + 1]) : 0;
    state[K] = this.words ? this.words.extend(state[K], id) : 0;
    state[K + 2] = state[0] === last && last > 0 ? Math.min(state[K + 2] + 1, this.maxRun) : 1;
  }

  /** Replace a network's logits (V,) by the logits of the mix, after the state (K + 3,). */
  mix(state, logits) {
    const { p, context: K } = this;
    p.set(this.unigram);
    let length = 0;
    for (; length < K && state[length] > 0; length++) {
      this.#interpolate(p, state[length], length + 1);
    }
    const [word, pair, runLength] = state.subarray(K);
    const run = this.runs?.findOdds(this.characters[state[0]], runLength) ?? { odds: 0 };
    const ofRun = this.needsNetwork ? [1, 0] : [0, 1];
    const [network, counts] = run.odds ? ofRun : this.byPlace[word ? 1 : 0][length];
    for (let id = 0; id < p.length; id++) {
      const logCounts = Math.fround(Math.fround(Math.log(p[id])) * counts);
      // Without a weight, the network's logits may be infinite.
      logits[id] = network ? logCounts + Math.fround(network * logits[id]) : logCounts;
    }
    if (run.odds) this.runs.apply(logits, this.characters[state[0]], run);
    else if (word > 0 || pair) this.#addScores(logits, word, pair);
  }

  /** Add the weighted scores of words and pairs to logits (V,). */
  #addScores(logits, word, pair) {
    const p = Float64Array.from(this.p);
    const total = word > 0 ? this.words.trie.addScores(logits, word, p, 1) : 1;
    if (pair) this.pairs.trie.addScores(logits, pair, p, total);
  }

  /** Return the child of a node by a character; 0 if there is none. */
  #findChild(node, id) {
    const end = this.starts[node + 1];
    const child = findSorted(this.characters, this.starts[node], end, id);
    return child < end && this.characters[child] === id ? child : 0;
  }

  /** Replace the probabilities (V,) after a shorter context by those after a node's context. */
  #interpolate(p, node, length) {
    const start = this.starts[node];
    const end = this.starts[node + 1];
    if (start === end || end === undefined) return;
    const { counts, characters, mass } = this;
    const discounts = this.discounts[length];
    let total = this.dropped[node];
    for (let child = start; child < end; child++) total += counts[child];
    let taken = this.dropped[node];
    for (let child = start; child < end; child++) {
      const n = counts[child];
      const discount = discounts[Math.min(n, 3) - 1];
      mass[child - start] = Math.max(n - discount, 0) / total;
      taken += discount;
    }
    const backoff = Math.fround(taken / total);
    for (let id = 0; id < p.length; id++) p[id] *= backoff;
    for (let child = start; child < end; child++) p[characters[child]] += mass[child - start];
  }
}

/** A network and counts with the methods of a network; its logits are those of the mix. */
export class CountedNetwork {
  /**
   * @param {import("./network.js").Network} network
   * @param {Counts} counts
   */
  constructor(network, counts) {
    this.network = network;
    this.counts = counts;
    this.networkSize = network.zeroState().length; // of the network's part of a state
  }

  get logits() {
    return this.network.logits;
  }

  zeroState() {
    return new Float32Array(this.networkSize + this.counts.context + 3);
  }

  step(id, state) {
    const logits = this.network.step(id, state);
    this.counts.mix(this.#extendCounts(id, state), logits);
    return logits;
  }

  advance(id, state) {
    this.network.advance(id, state);
    this.#extendCounts(id, state);
  }

  /** Extend the counts' part of a state by a character, and return this part. */
  #extendCounts(id, state) {
    const ofCounts = state.subarray(this.networkSize);
    this.counts.extend(ofCounts, id);
    return ofCounts;
  }
}

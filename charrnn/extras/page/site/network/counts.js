/**
 * Mix counts of the training text with a network, as charrnn/counts does in Python.
 *
 * The contexts of a text, of 1 to K characters, are nodes of a trie. The last K numbers of a state
 * are the nodes of the current contexts; 0 is a context that is not in the trie.
 */

/** The arrays of a table, in the order of their bytes. */
const ARRAYS = ["characters", "counts", "many", "children", "dropped"];
const TYPES = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };
const MANY = 255; // larger counts are stored in the array `many`

/**
 * Read the counts that charrnn/extras/page/packing.py packed.
 *
 * @returns {Promise<Counts | null>} Null without counts, or if the browser cannot unpack them.
 */
export async function unpackCounts(text) {
  const packed = JSON.parse(text);
  if (!packed || typeof DecompressionStream === "undefined") return null;
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const arrays = {};
  let start = 0;
  for (const name of ARRAYS) {
    const { type, length } = packed.arrays[name];
    const end = start + length * TYPES[type].BYTES_PER_ELEMENT;
    arrays[name] = new TYPES[type](buffer.slice(start, end));
    start = end;
  }
  return new Counts(packed, arrays);
}

export class Counts {
  /**
   * @param {object} packed
   * @param {number} packed.vocabulary_size  V.
   * @param {number} packed.context  K, the length of the longest contexts.
   * @param {[number, number][]} packed.by_length  The weights of network and counts, by the length
   *   of the longest known context; the last pair is for contexts in `runs`.
   * @param {number[]} packed.runs  The nodes of K times the same character.
   * @param {[number, number, number][]} packed.discounts  The discounts of counts of 1, 2, and 3
   *   or more, by the length of the context.
   * @param {object} arrays  The arrays of a CountTable.
   */
  constructor({ vocabulary_size: size, context, by_length: byLength, runs, discounts },
    { characters, counts, many, children, dropped }) {
    this.context = context;
    this.byLength = byLength;
    this.runs = new Set(runs);
    this.discounts = discounts;
    this.characters = characters;
    this.dropped = dropped;
    this.counts = Uint32Array.from(counts);
    for (let node = 0, next = 0; node < counts.length; node++) {
      if (counts[node] === MANY) this.counts[node] = many[next++];
    }
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

  /** Replace the contexts (K,) before a character by the contexts after it. */
  extend(nodes, id) {
    let shorter = 0;
    let isInTrie = true;
    for (let k = 0; k < nodes.length; k++) {
      const node = nodes[k];
      nodes[k] = isInTrie ? this.#findChild(shorter, id) : 0;
      isInTrie = nodes[k] > 0 && node > 0;
      shorter = node;
    }
  }

  /** Replace a network's logits (V,) by the logits of the mix. */
  mix(nodes, logits) {
    const { p } = this;
    p.set(this.unigram);
    let length = 0;
    for (; length < nodes.length && nodes[length] > 0; length++) {
      this.#interpolate(p, nodes[length], length + 1);
    }
    if (this.runs.has(nodes[nodes.length - 1])) length++;
    const [network, counts] = this.byLength[length];
    for (let id = 0; id < p.length; id++) {
      const logCounts = Math.fround(Math.fround(Math.log(p[id])) * counts);
      logits[id] = logCounts + Math.fround(network * logits[id]);
    }
  }

  /** Return the child of a node by a character; 0 if there is none. */
  #findChild(node, id) {
    let low = this.starts[node];
    const end = this.starts[node + 1];
    let high = end;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.characters[middle] < id) low = middle + 1;
      else high = middle;
    }
    return low < end && this.characters[low] === id ? low : 0;
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
    return new Float32Array(this.networkSize + this.counts.context);
  }

  step(id, state) {
    const logits = this.network.step(id, state);
    this.counts.mix(this.#advanceContexts(id, state), logits);
    return logits;
  }

  advance(id, state) {
    this.network.advance(id, state);
    this.#advanceContexts(id, state);
  }

  /** Replace the contexts in a state by those after a character, and return them. */
  #advanceContexts(id, state) {
    const nodes = state.subarray(this.networkSize);
    this.counts.extend(nodes, id);
    return nodes;
  }
}

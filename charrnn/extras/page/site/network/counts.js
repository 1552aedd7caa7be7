/**
 * Counts of the training text, mixed with a network: what charrnn/counts has in Python.
 *
 * A text's contexts, of 1 to K characters, are nodes of a trie. They are the last K numbers of a
 * state; 0 is a context that the text does not have, or that is not known.
 */

/** The arrays of a table lie in this order in the bytes. */
const ARRAYS = ["characters", "counts", "many", "children", "dropped"];
const TYPES = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };
const MANY = 255; // a count that a byte does not hold stands apart

/**
 * The counts that charrnn/extras/page/packing.py packed.
 *
 * @returns {Promise<Counts | null>} Null where there are none, or the browser cannot unpack them.
 */
export async function unpackedCounts(text) {
  const packed = JSON.parse(text);
  if (!packed || typeof DecompressionStream === "undefined") return null;
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const arrays = {};
  let at = 0;
  for (const name of ARRAYS) {
    const { type, length } = packed.arrays[name];
    const end = at + length * TYPES[type].BYTES_PER_ELEMENT;
    arrays[name] = new TYPES[type](buffer.slice(at, end));
    at = end;
  }
  return new Counts(packed, arrays);
}

export class Counts {
  constructor({ size, context, weights, runs, discounts }, { characters, counts, many, children, dropped }) {
    this.context = context;
    this.weights = weights; // of network and counts, by the length of the longest context, and in a run
    this.runs = new Set(runs); // the longest contexts, of one character alone
    this.discounts = discounts; // by the context's length, from counts of 1, 2, and more
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
    this.mass = new Float32Array(size); // of each child of a node
    this.unigram = new Float32Array(size).fill(1 / size);
    this.#interpolate(this.unigram, 0, 0);
    this.p = new Float32Array(size);
  }

  /** Make of the contexts (K,) before a character those after it. */
  advance(nodes, id) {
    let shorter = 0;
    let isKnown = true;
    for (let k = 0; k < nodes.length; k++) {
      const node = nodes[k];
      nodes[k] = isKnown ? this.#child(shorter, id) : 0;
      isKnown = nodes[k] > 0 && node > 0;
      shorter = node;
    }
  }

  /** Make of a network's logits (V,) those of the mix. */
  mix(nodes, logits) {
    const { p } = this;
    p.set(this.unigram);
    let length = 0;
    for (; length < nodes.length && nodes[length] > 0; length++) {
      this.#interpolate(p, nodes[length], length + 1);
    }
    if (this.runs.has(nodes[nodes.length - 1])) length++;
    const [network, counts] = this.weights[length];
    for (let id = 0; id < p.length; id++) {
      const own = Math.fround(Math.fround(Math.log(p[id])) * counts);
      logits[id] = own + Math.fround(network * logits[id]);
    }
  }

  /** The child of a node by a character; 0 where there is none. */
  #child(node, id) {
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

  /** Make of what a shorter context predicts what a node does, whose context has so many characters. */
  #interpolate(p, node, length) {
    const start = this.starts[node];
    const end = this.starts[node + 1];
    if (start === end || end === undefined) return;
    const { counts, characters, mass } = this;
    const taken = this.discounts[length];
    let total = this.dropped[node];
    for (let child = start; child < end; child++) total += counts[child];
    let share = this.dropped[node];
    for (let child = start; child < end; child++) {
      const n = counts[child];
      mass[child - start] = Math.max(n - taken[Math.min(n, 3) - 1], 0) / total;
      share += taken[Math.min(n, 3) - 1];
    }
    const left = Math.fround(share / total);
    for (let id = 0; id < p.length; id++) p[id] *= left;
    for (let child = start; child < end; child++) p[characters[child]] += mass[child - start];
  }
}

/** A network and counts, with the face of a network; the scores of its steps are those of the mix. */
export class CountedNetwork {
  /**
   * @param {import("./network.js").Network} network
   * @param {Counts} counts
   */
  constructor(network, counts) {
    this.network = network;
    this.counts = counts;
    this.carried = network.zeroState().length;
  }

  get logits() {
    return this.network.logits;
  }

  zeroState() {
    return new Float32Array(this.carried + this.counts.context);
  }

  step(id, state) {
    const logits = this.network.step(id, state);
    this.counts.mix(this.#advanced(id, state), logits);
    return logits;
  }

  advance(id, state) {
    this.network.advance(id, state);
    this.#advanced(id, state);
  }

  /** The contexts at the end of a state, after a character. */
  #advanced(id, state) {
    const nodes = state.subarray(this.carried);
    this.counts.advance(nodes, id);
    return nodes;
  }
}

/** The network, stepped one character at a time: what charrnn/generation/numpy_engine.py is. */

import { STEPS } from "./cells.js";
import { addProduct, folded } from "./folding.js";
import { Kernel } from "./kernel.js";

/**
 * A network with its weights.
 *
 * What each layer did in the last step can be looked at in `layers`: of layer k, `gates` has the
 * gates by letter, each a Float32Array (H,), `carried` the vectors that the cell takes on (`h`, and
 * `c` of an LSTM), and `output` what is read of it. They are overwritten by the next step.
 */
export class Network {
  /** @param {import("./packed.js").Model} model */
  constructor(model) {
    this.architecture = model.architecture;
    const { hidden_size: H, num_layers: L, vocabulary_size: V, skip } = model.architecture;
    const weights = folded(model);
    this.cell = model.cell;
    this.stepCell = STEPS[model.architecture.kind];
    const G = this.cell.gates.length;
    const apart = this.cell.apart.length > 0;

    const matrices = [[V, H]];
    for (let layer = 0; layer < L; layer++) {
      if (layer) matrices.push([G * H, H]);
      matrices.push([G * H, H]);
    }
    const kernel = new Kernel(matrices, [V, H, ...Array(L).fill([G * H, G * H, H, H, H]).flat()]);
    this.kernel = kernel;
    this.layers = weights.layers.map((layer, index) => {
      const sums = kernel.vector(G * H);
      const own = apart ? kernel.vector(G * H) : sums;
      const carried = Object.fromEntries([...this.cell.carried].map((letter) =>
        [letter, letter === "h" ? kernel.vector(H) : new Float32Array(H)]));
      return {
        gates: byGate(this.cell, sums, H),
        carried,
        vectors: Object.values(carried),
        output: skip === "sum" ? kernel.vector(H) : carried.h,
        held: new Map(),
        sums,
        own,
        ownGates: byGate(this.cell, own, H),
        ownBias: layer.ownBias,
        bias: Float32Array.from(layer.bias),
        scale: layer.scale,
        read: index ? kernel.matrix(G * H, H, layer.read) : null,
        recurrent: kernel.matrix(G * H, H, layer.own),
      };
    });
    // what the decoder reads
    this.top = skip === "sum" ? kernel.vector(H) : this.layers[L - 1].output;
    this.decoder = kernel.matrix(V, H, weights.decoder);
    this.decoderBias = weights.decoderBias;
    this.logits = kernel.vector(V);
    this.first = weights.layers[0];
    this.embedding = weights.embedding;
    this.rows = []; // by id, what the first layer gets for a character, once it was needed
  }

  /**
   * The state before the first character: for each layer the vectors that its cell carries, (H,)
   * each, one after the other. `state.slice()` keeps one.
   */
  zeroState() {
    const { num_layers: L, hidden_size: H } = this.architecture;
    return new Float32Array(L * this.cell.carried.length * H);
  }

  /**
   * Step over one character.
   *
   * @param {number} id
   * @param {Float32Array} state  That before it; afterwards, that after it.
   * @returns {Float32Array} The scores (V,) of the next character, valid until the next step.
   */
  step(id, state) {
    this.advance(id, state);
    this.logits.set(this.decoderBias);
    this.kernel.addProduct(this.decoder, this.top, this.logits);
    return this.logits;
  }

  /** Step over one character without computing the scores of the next. */
  advance(id, state) {
    let below = null;
    let place = 0; // in the state
    for (const layer of this.layers) {
      const { carried, sums, own } = layer;
      const start = place;
      for (const vector of layer.vectors) {
        // no views of the state: for a few numbers they take longer than the numbers
        for (let k = 0; k < vector.length; k++) vector[k] = state[place++];
      }
      sums.set(below ? layer.bias : this.#row(id));
      if (below) this.kernel.addProduct(layer.read, below, sums);
      if (own !== sums) own.set(layer.ownBias);
      this.kernel.addProduct(layer.recurrent, carried.h, own);
      if (own !== sums) this.#addJoined(layer);
      this.stepCell(this.kernel, layer.gates, carried, layer.ownGates);
      for (const [letter, units] of layer.held) {
        for (const [unit, value] of units) carried[letter][unit] = value;
      }
      place = start;
      for (const vector of layer.vectors) {
        for (let k = 0; k < vector.length; k++) state[place++] = vector[k];
      }
      if (layer.output !== carried.h) this.#sum(layer, below);
      below = layer.output;
    }
  }

  /**
   * Hold a unit at a value, in each step from the next on: what a layer carries of it, and thereby
   * what is read of it.
   *
   * @param {number} layer @param {number} unit  From 0.
   * @param {string} [letter]  Of the vectors that the cell carries, which.
   */
  hold(layer, unit, value, letter = "h") {
    const { held } = this.layers[layer];
    if (!held.has(letter)) held.set(letter, new Map());
    held.get(letter).set(unit, value);
  }

  /** Hold no unit any more. */
  release() {
    for (const { held } of this.layers) held.clear();
  }

  /** What the first layer gets for a character, (G * H,). */
  #row(id) {
    if (!this.rows[id]) {
      const { read, columns, bias } = this.first;
      const sums = bias.slice();
      addProduct(sums, read, this.embedding.subarray(id * columns, (id + 1) * columns));
      this.rows[id] = Float32Array.from(sums);
    }
    return this.rows[id];
  }

  /** Add the recurrent sums of the gates that are not kept apart to what they read. */
  #addJoined({ gates, ownGates }) {
    for (const letter of this.cell.gates) {
      if (this.cell.apart.includes(letter)) continue;
      const sums = gates[letter];
      const own = ownGates[letter];
      for (let k = 0; k < sums.length; k++) sums[k] += own[k];
    }
  }

  /** What is read of a layer's hidden vector, added to what the decoder reads. */
  #sum({ carried, output, scale }, below) {
    for (let k = 0; k < output.length; k++) output[k] = carried.h[k] * scale[k];
    if (below) add(output, this.top);
    else this.top.set(output);
  }
}

function byGate(cell, vector, size) {
  return Object.fromEntries([...cell.gates].map((letter, index) =>
    [letter, vector.subarray(index * size, (index + 1) * size)]));
}

function add(values, sums) {
  for (let k = 0; k < sums.length; k++) sums[k] += values[k];
}

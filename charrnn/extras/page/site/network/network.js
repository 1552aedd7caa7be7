/** Step the network one character at a time, as charrnn/generation/numpy_network.py does. */

import { STEPS } from "./cells.js";
import { addProduct, fold } from "./folding.js";
import { Kernel } from "./kernel.js";

/**
 * A network with its weights.
 *
 * Each layer in `layers` shows the last step: `gates` has the gates by letter, each a Float32Array
 * (H,), `carried` the vectors that the cell carries to the next character (`h`, and `c` of an
 * LSTM), and `output` the vector that the next layer reads. The next step overwrites them.
 */
export class Network {
  /** @param {import("./packed.js").Model} model */
  constructor(model) {
    this.architecture = model.architecture;
    const { hidden_size: H, num_layers: L, vocabulary_size: V, skip } = model.architecture;
    const weights = fold(model);
    this.cell = model.cell;
    this.stepCell = STEPS[model.architecture.kind];
    const G = this.cell.gates.length;
    const hasSeparateSums = this.cell.separate_sums.length > 0;

    const matrices = [[V, H]];
    for (let layer = 0; layer < L; layer++) {
      if (layer) matrices.push([G * H, H]);
      matrices.push([G * H, H]);
    }
    const kernel = new Kernel(matrices, [V, H, ...Array(L).fill([G * H, G * H, H, H, H]).flat()]);
    this.kernel = kernel;
    this.layers = weights.layers.map((layer, index) => {
      const sums = kernel.allocateVector(G * H);
      const recurrentSums = hasSeparateSums ? kernel.allocateVector(G * H) : sums;
      const carried = Object.fromEntries([...this.cell.carried].map((letter) =>
        [letter, letter === "h" ? kernel.allocateVector(H) : new Float32Array(H)]));
      return {
        gates: splitByGate(this.cell, sums, H),
        carried,
        vectors: Object.values(carried),
        output: skip === "sum" ? kernel.allocateVector(H) : carried.h,
        sums,
        recurrentSums,
        recurrentByGate: splitByGate(this.cell, recurrentSums, H),
        hiddenBias: layer.hiddenBias,
        bias: Float32Array.from(layer.bias),
        scale: layer.scale,
        input: index ? kernel.placeMatrix(G * H, H, layer.input) : null,
        recurrent: kernel.placeMatrix(G * H, H, layer.recurrent),
      };
    });
    // the vector that the decoder reads
    this.top = skip === "sum" ? kernel.allocateVector(H) : this.layers[L - 1].output;
    this.decoder = kernel.placeMatrix(V, H, weights.decoder);
    this.decoderBias = weights.decoderBias;
    this.logits = kernel.allocateVector(V);
    this.firstLayer = weights.layers[0];
    this.embedding = weights.embedding;
    this.inputTable = []; // by id, the first layer's input (G * H,); filled on first use
  }

  /**
   * Return the state before the first character: for each layer the vectors (H,) that its cell
   * carries, one after the other. `state.slice()` copies it.
   */
  zeroState() {
    const { num_layers: L, hidden_size: H } = this.architecture;
    return new Float32Array(L * this.cell.carried.length * H);
  }

  /**
   * Step over one character.
   *
   * @param {number} id
   * @param {Float32Array} state  Before the character. It becomes the state after it.
   * @returns {Float32Array} The logits (V,) of the next character, valid until the next step.
   */
  step(id, state) {
    this.advance(id, state);
    this.logits.set(this.decoderBias);
    this.kernel.addProduct(this.decoder, this.top, this.logits);
    return this.logits;
  }

  /** Step over one character without computing the logits of the next. */
  advance(id, state) {
    let below = null;
    let offset = 0; // in the state
    for (const layer of this.layers) {
      const { carried, sums, recurrentSums } = layer;
      const start = offset;
      for (const vector of layer.vectors) {
        // a loop is faster than a view of the state, since the vectors are short
        for (let k = 0; k < vector.length; k++) vector[k] = state[offset++];
      }
      sums.set(below ? layer.bias : this.#embedInput(id));
      if (below) this.kernel.addProduct(layer.input, below, sums);
      if (recurrentSums !== sums) recurrentSums.set(layer.hiddenBias);
      this.kernel.addProduct(layer.recurrent, carried.h, recurrentSums);
      if (recurrentSums !== sums) this.#joinSums(layer);
      this.stepCell(this.kernel, layer.gates, carried, layer.recurrentByGate);
      offset = start;
      for (const vector of layer.vectors) {
        for (let k = 0; k < vector.length; k++) state[offset++] = vector[k];
      }
      if (layer.output !== carried.h) this.#addOutput(layer, below);
      below = layer.output;
    }
  }

  /** Return the first layer's input (G * H,) for a character. */
  #embedInput(id) {
    if (!this.inputTable[id]) {
      const { input, columns, bias } = this.firstLayer;
      const sums = bias.slice();
      addProduct(sums, input, this.embedding.subarray(id * columns, (id + 1) * columns));
      this.inputTable[id] = Float32Array.from(sums);
    }
    return this.inputTable[id];
  }

  /** Add the recurrent input to the sums of all gates that have no separate sums. */
  #joinSums({ gates, recurrentByGate }) {
    for (const letter of this.cell.gates) {
      if (this.cell.separate_sums.includes(letter)) continue;
      const sums = gates[letter];
      const recurrentSums = recurrentByGate[letter];
      for (let k = 0; k < sums.length; k++) sums[k] += recurrentSums[k];
    }
  }

  /** Scale a layer's hidden vector, and add it to the vector that the decoder reads. */
  #addOutput({ carried, output, scale }, below) {
    if (!below) this.top.fill(0);
    for (let k = 0; k < output.length; k++) {
      output[k] = carried.h[k] * scale[k];
      this.top[k] += output[k];
    }
  }
}

/** Return views of a vector (G * size,) by the letters of the gates. */
function splitByGate(cell, vector, size) {
  return Object.fromEntries([...cell.gates].map((letter, index) =>
    [letter, vector.subarray(index * size, (index + 1) * size)]));
}

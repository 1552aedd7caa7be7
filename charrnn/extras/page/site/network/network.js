/** Step the network one character at a time, as charrnn/generation/numpy_network.py does. */

import { STEPS } from "./cells.js";
import { Kernel } from "./kernel.js";

export class Network {
  /**
   * @param {object} given  `header.network` of a packed model.
   * @param {number} V  The size of the vocabulary.
   * @param {Record<string, ArrayLike<number>>} arrays  FoldedWeights of Python, by their names.
   */
  constructor(given, V, arrays) {
    const { architecture: { kind, hidden_size: H, num_layers: L, skip }, gates } = given;
    Object.assign(this, given, { H, L, stepCell: STEPS[kind] });
    const G = gates.length;
    const find = (name) => arrays[`network.${name}`];
    const matrix = (name) => toFloats(find(name), find(`${name}.rows`));
    const matrices = [[V, H], ...Array(2 * L - 1).fill([G * H, H])];
    const kernel = new Kernel(matrices, [V, H, ...Array(L).fill([G * H, G * H, H, H, H]).flat()]);
    this.kernel = kernel;
    this.layers = Array.from({ length: L }, (_, index) => {
      const sums = kernel.allocateVector(G * H);
      const recurrentSums = given.separate_sums ? kernel.allocateVector(G * H) : sums;
      const carried = Object.fromEntries([...given.carried].map((letter) =>
        [letter, letter === "h" ? kernel.allocateVector(H) : new Float32Array(H)]));
      return {
        gates: splitByGate(gates, sums, H),
        carried,
        vectors: Object.values(carried),
        output: skip === "none" ? carried.h : kernel.allocateVector(H),
        sums,
        recurrentSums,
        recurrentByGate: splitByGate(gates, recurrentSums, H),
        hiddenBias: find(`hidden_bias.${index}`), // of the gate with separate sums
        bias: find(`biases.${index}`), // the table has that of the first layer
        scale: find(`scales.${index}`),
        input: index ? kernel.placeMatrix(G * H, H, matrix(`inputs.${index}`)) : null,
        recurrent: kernel.placeMatrix(G * H, H, matrix(`recurrent.${index}`)),
      };
    });
    // the vector that the decoder reads
    this.top = skip === "none" ? this.layers[L - 1].output : kernel.allocateVector(H);
    this.decoder = kernel.placeMatrix(V, H, matrix("decoder"));
    this.decoderBias = find("decoder_bias");
    this.logits = kernel.allocateVector(V);
    this.table = matrix("table"); // by id, the first layer's input (G * H,)
  }

  /**
   * Return the state before the first character: for each layer the vectors (H,) that its cell
   * carries, one after the other. `state.slice()` copies it.
   */
  zeroState() {
    return new Float32Array(this.L * this.carried.length * this.H);
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
      sums.set(below ? layer.bias : this.table.subarray(id * sums.length, (id + 1) * sums.length));
      if (below) this.kernel.addProduct(layer.input, below, sums);
      if (recurrentSums !== sums) {
        recurrentSums.fill(0);
        layer.recurrentByGate[this.separate_sums].set(layer.hiddenBias);
      }
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

  /** Add the recurrent input to the sums of all gates that have no separate sums. */
  #joinSums({ gates, recurrentByGate }) {
    for (const letter of this.gates) {
      if (this.separate_sums.includes(letter)) continue;
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

/** Counts write without a network: its logits have no weight. */
export class NoNetwork {
  constructor(size) {
    this.logits = new Float32Array(size);
  }

  zeroState() {
    return new Float32Array(0);
  }

  step() {
    return this.logits;
  }

  advance() {}
}

/** Return a matrix whose rows have scales, or no scales, in single precision. */
function toFloats(values, scales) {
  if (!scales) return values;
  const columns = values.length / scales.length;
  return Float32Array.from(values, (value, i) => value * scales[Math.floor(i / columns)]);
}

/** Return views of a vector (G * size,) by the letters of the gates. */
function splitByGate(gates, vector, size) {
  return Object.fromEntries([...gates].map((letter, index) =>
    [letter, vector.subarray(index * size, (index + 1) * size)]));
}

/** Read a model that charrnn/extras/page/packing.py packed as JSON. */

/**
 * @typedef {object} Cell  As charrnn/options/cells.py describes them.
 * @property {string} gates  One letter for each gate, in the order of their rows in the weights.
 * @property {string[]} carried  The vectors of its state; h is the first.
 * @property {string} separate_sums  The gates that do not simply add their two inputs.
 *
 * @typedef {object} Model
 * @property {object} architecture  As in a model file: `kind`, `hidden_size`, `num_layers`, ...
 * @property {Cell} cell
 * @property {{tokens: string[], bytes: boolean}} vocabulary
 * @property {object} facts  Facts of its training; `primer` has the ids of its primer.
 * @property {(name: string) => Float32Array} weight  Returns a weight, row after row.
 */

/** @returns {Model} */
export function unpackModel(text) {
  const { tensors, data, ...rest } = JSON.parse(text);
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)).buffer;
  return {
    ...rest,
    weight(name) {
      const { type, rows, columns, at } = tensors[name];
      return DECODERS[type](bytes, at, rows, columns);
    },
  };
}

/** Decoders of the types of numbers. */
const DECODERS = {
  float32: (bytes, at, rows, columns) => new Float32Array(bytes, at, rows * columns),
  /** The scales of all rows in float32 come before the rows. */
  int8(bytes, at, rows, columns) {
    const scales = new Float32Array(bytes, at, rows);
    const whole = new Int8Array(bytes, at + 4 * rows, rows * columns);
    const values = new Float32Array(rows * columns);
    for (let row = 0, i = 0; row < rows; row++) {
      for (const end = i + columns; i < end; i++) values[i] = whole[i] * scales[row];
    }
    return values;
  },
};

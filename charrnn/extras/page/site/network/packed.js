/** A model as charrnn/extras/page/packing.py writes it: JSON, with the weights' bytes in base64. */

/**
 * @typedef {object} Cell  As charrnn/networks/cells.py describes them.
 * @property {string} gates  One letter a gate, in the order of their rows in the weights.
 * @property {string[]} carried  What it takes from one character to the next; h comes first.
 * @property {string} apart  The gates whose recurrent sum is not simply added to what they read.
 *
 * @typedef {object} Model
 * @property {object} architecture  As in a model file: `kind`, `hidden_size`, `num_layers`, ...
 * @property {Cell} cell
 * @property {{tokens: string[], bytes: boolean}} vocabulary
 * @property {object} facts  What is known of its training; `primer` is the ids of its primer.
 * @property {(name: string) => Float32Array} weight  A weight by its name, row after row.
 */

/** @returns {Model} */
export function unpacked(text) {
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

/** How the numbers of each type lie in the bytes. */
const DECODERS = {
  float32: (bytes, at, rows, columns) => new Float32Array(bytes, at, rows * columns),
  /** Each row's scale, a float32, and then the rows in eighths of a word. */
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

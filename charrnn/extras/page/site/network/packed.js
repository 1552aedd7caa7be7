/** Read a model that charrnn/extras/page/packing.py packed as JSON. */

/**
 * @typedef {object} Cell  As charrnn/options/cells.py describes them.
 * @property {string} gates  One letter for each gate, in the order of their rows in the weights.
 * @property {string[]} carried  The vectors of its state; h is the first.
 * @property {string} separate_sums  The gates whose two inputs are not simply added.
 *
 * @typedef {object} Model
 * @property {object} architecture  As in a model file: `kind`, `hidden_size`, `num_layers`, ...
 * @property {Cell} cell
 * @property {{tokens: string[], bytes: boolean}} vocabulary
 * @property {object} constants  Of the formulas, and `ends`, both from Python.
 * @property {object} facts  Facts about its training; `primer` has the ids of its primer.
 * @property {(name: string) => Float32Array} weight  Returns a weight, row by row.
 */

/** @returns {Model} */
export function unpackModel(text) {
  const { tensors, data, ...rest } = JSON.parse(text);
  const bytes = decodeBase64(data).buffer;
  return {
    ...rest,
    weight(name) {
      const { type, rows, columns, at } = tensors[name];
      return DECODERS[type](bytes, at, rows, columns);
    },
  };
}

/** Return the bytes, in base64, that Python's zlib compressed; null if the browser is too old. */
export async function decompress(text) {
  if (typeof DecompressionStream === "undefined") return null;
  const stream = new Blob([decodeBase64(text)]).stream();
  const response = new Response(stream.pipeThrough(new DecompressionStream("deflate")));
  return new Uint8Array(await response.arrayBuffer());
}

function decodeBase64(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i); // faster than `from`
  return bytes;
}

/** Decoders by the type of the numbers. */
const DECODERS = {
  float32: (bytes, at, rows, columns) => new Float32Array(bytes, at, rows * columns),
  /** Decode the float32 scales of all rows, and after them the rows. */
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

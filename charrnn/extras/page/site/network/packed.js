/**
 * Unpack a model as charrnn/extras/page/packing.py packs it, and pack one for a page to save: a
 * length, a header in JSON of this length, and arrays, all compressed.
 *
 * @typedef {object} Header
 * @property {object} about  `title`, `licence`, `is_code` and `is_list`.
 * @property {{tokens: string[], bytes: boolean}} vocabulary
 * @property {number[]} primer  Ids that the model reads before each text.
 * @property {Record<string, string>} marks, curly  As in charrnn/text/prompt.py.
 * @property {object} sampling  The defaults of the sampling options.
 * @property {object} constants  Of the formulas.
 * @property {object | null} network  `architecture`, `gates` (one letter for each, in the order of
 *   their rows), `carried` (the vectors of a state; h is the first), and `separate_sums`.
 * @property {object | null} counts  See `Counts`.
 */

const TYPES = { float32: Float32Array, int8: Int8Array, uint8: Uint8Array, uint16: Uint16Array,
  uint32: Uint32Array };

/**
 * @param {string | ArrayBuffer} data  A string is in base64.
 * @returns {Promise<{header: Header, arrays: Record<string, ArrayLike<number>>}>}
 */
export async function unpack(data) {
  const packed = typeof data === "string" ? decodeBase64(data) : data;
  const bytes = await transform(packed, new DecompressionStream("deflate"));
  let start = 4 + new DataView(bytes).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.slice(4, start)));
  const arrays = {};
  for (const [name, type, length] of header.arrays) {
    const end = start + length * TYPES[type].BYTES_PER_ELEMENT;
    arrays[name] = new TYPES[type](bytes.slice(start, end)); // little-endian, as all browsers are
    start = end;
  }
  return { header, arrays };
}

/** Return a model in base64. */
export async function pack(header, arrays) {
  const described = Object.entries(arrays).map(([name, values]) =>
    [name, values.constructor.name.toLowerCase().replace("array", ""), values.length]);
  const text = new TextEncoder().encode(JSON.stringify({ ...header, arrays: described }));
  const parts = new Blob([Uint32Array.of(text.length), text, ...Object.values(arrays)]);
  return encodeBase64(await transform(parts, new CompressionStream("deflate")));
}

async function transform(data, stream) {
  return new Response(new Blob([data]).stream().pipeThrough(stream)).arrayBuffer();
}

export function decodeBase64(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i); // faster than `from`
  return bytes;
}

function encodeBase64(buffer) {
  let letters = "";
  for (const byte of new Uint8Array(buffer)) letters += String.fromCharCode(byte);
  return btoa(letters);
}

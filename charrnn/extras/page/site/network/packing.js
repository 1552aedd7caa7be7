/** Pack counts and lines as charrnn/extras/page/packing.py does, for a page to save. */

/**
 * Return the arguments of `Counts` as `unpackCounts` reads them.
 *
 * @param {object} packed
 * @param {Record<string, Uint8Array | Uint16Array | Uint32Array>} arrays
 */
export async function packCounts(packed, arrays) {
  const described = Object.entries(arrays).map(([name, values]) => {
    const type = values.constructor.name.toLowerCase().replace("array", "");
    return [name, { type, length: values.length }];
  });
  const data = await compress(Object.values(arrays)); // little-endian, as all browsers are
  return JSON.stringify({ ...packed, arrays: Object.fromEntries(described), data });
}

/** Return the checksums of lines as `unpackLines` reads them. */
export async function packLines(checksums) {
  const sorted = Uint32Array.from(new Set(checksums)).sort();
  const bytes = new Uint8Array(4 * sorted.length); // of the differences: the lowest byte of each, ...
  sorted.forEach((checksum, i) => {
    const difference = checksum - (sorted[i - 1] ?? 0);
    for (let byte = 0; byte < 4; byte++) {
      bytes[byte * sorted.length + i] = difference >>> (8 * byte);
    }
  });
  return JSON.stringify(await compress([bytes]));
}

/** Return arrays, compressed as `decompress` reads them. */
async function compress(arrays) {
  const stream = new Blob(arrays).stream().pipeThrough(new CompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  let letters = "";
  for (const byte of bytes) letters += String.fromCharCode(byte);
  return btoa(letters);
}

/** The lines of the training text, stored as checksums. */

import { decompress } from "./packed.js";

/**
 * Read the checksums that charrnn/extras/page/packing.py packed.
 *
 * @returns {Promise<Lines | null>} Null without checksums, or if the browser cannot unpack them.
 */
export async function unpackLines(text) {
  const packed = JSON.parse(text);
  const bytes = packed && await decompress(packed);
  if (!bytes) return null;
  // the differences of the sorted checksums: first the lowest byte of each, then the next bytes
  const count = bytes.length / 4;
  const checksums = new Uint32Array(count);
  for (let i = 0, sum = 0; i < count; i++) {
    for (let byte = 0; byte < 4; byte++) sum += bytes[byte * count + i] * 256 ** byte;
    checksums[i] = sum;
  }
  return new Lines(checksums);
}

export class Lines {
  /** @param {Uint32Array} checksums  CRC-32 of each line. */
  constructor(checksums) {
    this.checksums = new Set(checksums);
  }

  /** Return whether the text has a line; wrongly true for one other line in 80,000 at most. */
  has(line) {
    return this.checksums.has(computeCrc32(new TextEncoder().encode(line)));
  }
}

/** Return the checksum of each line. */
export function listChecksums(lines) {
  const encoder = new TextEncoder();
  return lines.map((line) => computeCrc32(encoder.encode(line)));
}

function computeCrc32(bytes) {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 && 0xedb88320);
  }
  return ~sum >>> 0;
}

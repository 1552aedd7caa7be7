/** The lines of the training text, stored as checksums. */

const MOST = 50_000; // lines of a text whose checksums are stored

export class Lines {
  /** @param {Uint32Array} differences  Of the sorted checksums, CRC-32 of each line. */
  constructor(differences) {
    let sum = 0;
    this.checksums = new Set(Array.from(differences, (difference) => { sum += difference; return sum; }));
  }

  /** Return whether the text has a line; wrongly true for one other line in 80,000 at most. */
  has(line) {
    return this.checksums.has(computeCrc32(new TextEncoder().encode(line)));
  }
}

/** Return the checksums of a text's lines, as `Lines` reads them; null if they are too many. */
export function listChecksums(text) {
  const encoder = new TextEncoder();
  const lines = new Set(text.split("\n").map((line) => line.trimEnd()));
  const checksums = new Set([...lines].map((line) => computeCrc32(encoder.encode(line))));
  if (checksums.size > MOST) return null;
  return Uint32Array.from(checksums).sort()
    .map((checksum, i, sorted) => checksum - (sorted[i - 1] ?? 0));
}

function computeCrc32(bytes) {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 && 0xedb88320);
  }
  return ~sum >>> 0;
}

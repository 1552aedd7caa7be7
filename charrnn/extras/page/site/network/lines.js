/** The lines of the training text, stored as checksums. */

export class Lines {
  /** @param {string} packed  CRC-32 of each line, packed by charrnn/extras/page/packing.py. */
  constructor(packed) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    this.checksums = new Set(new Uint32Array(bytes.buffer));
  }

  /** Return whether the text has a line; wrongly true for one other line in 80,000 at most. */
  has(line) {
    return this.checksums.has(computeCrc32(new TextEncoder().encode(line)));
  }
}

function computeCrc32(bytes) {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 && 0xedb88320);
  }
  return ~sum >>> 0;
}

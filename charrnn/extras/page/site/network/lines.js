/** The lines of the training text, of which the page has checksums only. */

export class Lines {
  /** @param {string} packed  CRC-32 of each, as charrnn/extras/page/packing.py packed them. */
  constructor(packed) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    this.sums = new Set(new Uint32Array(bytes.buffer));
  }

  /** Whether a line is one of the text's; of one in 80,000 that are not, it is said, too. */
  has(line) {
    return this.sums.has(crc32(new TextEncoder().encode(line)));
  }
}

function crc32(bytes) {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 && 0xedb88320);
  }
  return ~sum >>> 0;
}

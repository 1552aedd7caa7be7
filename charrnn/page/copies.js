/**
 * What of a text stands in the training text, by a Bloom filter (1970) of all its passages of a
 * few characters, as charrnn/extras/export/writing_page.py makes it.
 *
 * A passage is copied where all the short passages in it are in the filter. One that is not is
 * sometimes taken for one that is, so that several in a row are asked for.
 */

/** Two hashes of each passage of `length` ids, as pairs one after the other. */
function* hashes(ids, length) {
  for (let start = 0; start + length <= ids.length; start++) {
    let one = 0;
    let other = 0;
    for (let at = start; at < start + length; at++) {
      one = (Math.imul(one, 0x01000193) + ids[at] + 1) | 0;
      other = (Math.imul(other, 0x85ebca6b) + ids[at] + 1) | 0;
    }
    yield [mixed(one), (mixed(other) | 1) >>> 0];
  }
}

/** The end of MurmurHash3, which spreads a difference in any bit over all. */
function mixed(hash) {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export class Copies {
  /**
   * @param {object} index  As it was packed: `bits` in base64, how many `functions` set a bit for
   *   each passage of `passage` characters, and the `least` characters that count as copied.
   * @param {import("./network/vocabulary.js").Vocabulary} vocabulary
   */
  constructor({ bits, functions, passage, least }, vocabulary) {
    this.bits = Uint8Array.from(atob(bits), (letter) => letter.charCodeAt(0));
    this.functions = functions;
    this.passage = passage;
    this.least = least;
    this.vocabulary = vocabulary;
  }

  /** The parts of a text that are copied, as places in the string that do not touch. */
  of(text) {
    // what is unknown to the model is not in the training text: an id that no passage there has
    const fitted = Array.from(text, (character) => this.vocabulary.lookUp(character));
    const ids = fitted.flat();
    const covered = new Uint8Array(ids.length);
    let start = 0; // of the short passages in a row that are in the filter
    let place = 0;
    const cover = (end) => {
      const last = end + this.passage - 1;
      if (end > start && last - start >= this.least) covered.fill(1, start, last);
      start = end + 1;
    };
    for (const [one, step] of hashes(ids, this.passage)) {
      if (!this.#has(one, step)) cover(place);
      place++;
    }
    cover(place);
    return rangesOf(text, fitted, covered);
  }

  #has(one, step) {
    const size = this.bits.length * 8;
    for (let i = 0; i < this.functions; i++) {
      const bit = ((one + i * step) % 2 ** 32) % size;
      if (!(this.bits[bit >>> 3] & (1 << (bit & 7)))) return false;
    }
    return true;
  }
}

/** Ranges of a string, of which each character has some ids. */
function rangesOf(text, fitted, covered) {
  const ranges = [];
  let place = 0;
  let id = 0;
  let open = false;
  Array.from(text).forEach((character, index) => {
    const next = id + fitted[index].length;
    const is = covered.subarray(id, next).some(Boolean);
    if (is && open) ranges.at(-1)[1] = place + character.length;
    else if (is) ranges.push([place, place + character.length]);
    open = is;
    id = next;
    place += character.length;
  });
  return ranges;
}

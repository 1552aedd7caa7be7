/** Find passages of a text in the training text. */

const BLOCK = 15; // characters; each copy of twice as many contains a block of the training text
const MOST = 8; // places of a block that are compared

export class Copies {
  /** @param {string} text  The training text. */
  constructor(text) {
    this.text = text;
    this.places = new Map(); // block -> its places, one block after the other
    for (let place = 0; place + BLOCK <= text.length; place += BLOCK) {
      const block = text.slice(place, place + BLOCK);
      const places = this.places.get(block) ?? [];
      if (places.length < MOST) this.places.set(block, [...places, place]);
    }
  }

  /**
   * Return the ranges of a text that the training text contains, as [start, end].
   *
   * @param {number} least  Characters of a range, 30 or more.
   * @returns {[number, number][]}
   */
  find(text, least) {
    const ranges = [];
    for (let at = 0; at + BLOCK <= text.length; at++) {
      const places = this.places.get(text.slice(at, at + BLOCK)) ?? [];
      const found = places.map((place) => this.#extend(text, at, place - at))
        .filter(([start, end]) => end - start >= least);
      if (!found.length) continue;
      const [start, end] = found.reduce((one, other) => (other[1] > one[1] ? other : one));
      ranges.push([start, end]);
      at = end - BLOCK; // all blocks before are inside
    }
    return ranges;
  }

  /** Return the longest copy around a block of a text whose place is at a distance. */
  #extend(text, at, distance) {
    let [start, end] = [at, at + BLOCK];
    while (start > 0 && text[start - 1] === this.text[start - 1 + distance]) start--;
    while (end < text.length && text[end] === this.text[end + distance]) end++;
    return [start, end];
  }
}

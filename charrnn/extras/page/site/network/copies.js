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
    const known = {}; // the end of the last match by the distance of both places
    for (let at = 0; at + BLOCK <= text.length; at++) {
      for (const place of this.places.get(text.slice(at, at + BLOCK)) ?? []) {
        const distance = place - at;
        if (known[distance] > at) continue;
        let [start, end] = [at, at + BLOCK];
        while (start > 0 && text[start - 1] === this.text[start - 1 + distance]) start--;
        while (end < text.length && text[end] === this.text[end + distance]) end++;
        known[distance] = end;
        if (end - start >= least) ranges.push([start, end]);
      }
    }
    return ranges;
  }
}

/** Open quotes and brackets of a text that is written, as in charrnn/generation/debts.py. */

import { mayCome } from "./punctuation.js";

export class Quotes {
  /**
   * @param {import("./vocabulary.js").Vocabulary} vocabulary
   * @param {string[]} pairs  The marks of quotes that close.
   * @param {number} never  What an excluded character loses.
   */
  constructor({ characters, ids }, pairs, never) {
    const known = pairs.filter((pair) => ids.has(pair[0]) && ids.has(pair[1]));
    Object.assign(this, { characters, ids, never, pairs: known, open: [], before: "\n" });
  }

  /** Append an id to the text. */
  append(id) {
    const character = this.characters[id];
    if (character === "\n") this.open = [];
    for (const pair of this.pairs) {
      if (!pair.includes(character) || !this.#mayCome(pair, character)) continue;
      const others = this.open.filter((other) => other !== pair);
      this.open = others.length < this.open.length ? others : [...others, pair];
    }
    this.before = character;
  }

  /** Move the newline's probability in scores (V,), and lower those of misplaced marks. */
  close(scores) {
    const newline = this.ids.get("\n");
    if (this.open.length && newline !== undefined) {
      const closing = this.ids.get(this.open.at(-1)[1]);
      if (scores[closing] > -Infinity) { // else it is banned
        const highest = Math.max(scores[closing], scores[newline]);
        const rest = Math.min(scores[closing], scores[newline]) - highest;
        scores[closing] = highest + Math.log1p(Math.exp(rest));
      }
      scores[newline] -= this.never;
    }
    for (const pair of this.pairs) {
      for (const mark of new Set(pair)) {
        if (!this.#mayCome(pair, mark)) scores[this.ids.get(mark)] -= this.never;
      }
    }
  }

  #mayCome(pair, mark) {
    return mayCome(pair, this.open.includes(pair), this.before, mark);
  }
}

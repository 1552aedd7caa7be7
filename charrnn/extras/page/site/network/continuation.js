/** One of several texts that are written in turns, piece by piece. */

import { Uniforms } from "./random.js";

const PIECE = 32; // characters of a text before the next one continues
const LONGEST_COPY = 40; // characters of the training text, in a text that is to copy less
const TRIES = 5; // of a text that copies, before it is left out

export class Continuation {
  /**
   * @param {import("./sampler.js").Sampler} sampler
   * @param {object} start  `ids` of the prompt, and the sampler's `state` after it.
   * @param {object} request  `params` of sampling, `seed`, the number `n` of texts, `max_tokens`, and
   *   `stop`, a text before which each text ends.
   * @param {number} index  The number of the text.
   * @param {import("./copies.js").Copies | null} copies  Given if the text is to copy less.
   */
  constructor(sampler, start, request, index, copies) {
    Object.assign(this, { sampler, start, request, index, copies, tries: 0 });
    this.#begin();
  }

  get isDone() {
    return this.charactersLeft === 0;
  }

  /** Begin the text, or another one instead of one that copies. */
  #begin() {
    const { sampler, start: { ids, state }, request: { seed, n, params } } = this;
    const uniforms = new Uniforms(seed, this.index + n * this.tries++);
    this.newIds = sampler.write(state, params, uniforms, ids);
    this.charactersLeft = this.request.max_tokens;
    this.isStopped = false; // whether the text has ended before `stop`
    this.held = ""; // the last characters, which may be the start of `stop`
    this.decode = sampler.vocabulary.makeDecoder();
    this.text = "";
  }

  /** Write the next characters of `text`. */
  writePiece() {
    for (let count = 0; count < PIECE && this.charactersLeft > 0; count++) {
      this.charactersLeft--;
      this.held += this.decode(this.newIds.next().value, this.charactersLeft === 0);
      this.#releaseHeld();
    }
    if (this.charactersLeft === 0 && !this.isStopped) this.text += this.held;
    if (!this.copies?.find(this.text, LONGEST_COPY).length) return;
    this.#begin();
    if (this.tries > TRIES) this.charactersLeft = 0;
  }

  /** Add the held characters that cannot be part of `stop` to the text; end before `stop`. */
  #releaseHeld() {
    const { stop = "" } = this.request;
    if (stop && this.held === stop) {
      this.isStopped = true;
      this.charactersLeft = 0;
    }
    let start = 0;
    while (start < this.held.length && !stop.startsWith(this.held.slice(start))) start++;
    this.text += this.held.slice(0, start);
    this.held = this.held.slice(start);
  }
}

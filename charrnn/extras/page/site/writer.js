/**
 * Write with the model in the engine.
 *
 * @typedef {object} Request
 * @property {string} prompt  The text to continue; may be empty.
 * @property {number} max_tokens  The number of characters to write.
 * @property {string} [stop]  A text before which each text ends.
 * @property {(text: string) => number | null} [findEnd]  Returns where a text is complete.
 * @property {boolean} [copiesLess]  Whether to leave out texts with long copies.
 * @property {number} n  The number of texts to write at the same time.
 * @property {number} seed
 * @property {number} temperature, dry_multiplier
 * @property {number | null} new_words
 * @property {AbortSignal} signal  Stops `complete`, which then returns without an error.
 */

const SHOW_INTERVAL = 33; // milliseconds

export class Writer {
  /** @param {import("./engine.js").Engine} engine */
  constructor(engine) {
    this.engine = engine;
    this.model = null; // as `Model.describe` describes it
  }

  /** Write with a packed model: bytes, or base64. */
  async open(packed) {
    this.model = await this.engine.call("open", packed);
  }

  /** Write with a text that is learnt. */
  async learn(given, facts) {
    this.model = await this.engine.call("learn", given, facts);
  }

  /**
   * Write texts.
   *
   * @param {Request} request
   * @param {(texts: string[]) => void} [onTexts]  Called with the texts so far.
   * @returns {Promise<{texts: string[], ended: Set<number>}>} The texts, and the indices of those
   *   that end where they should.
   */
  async complete({ signal, findEnd, ...request }, onTexts = () => {}) {
    const ended = new Set();
    let texts = Array(request.n).fill("");
    let shownAt = performance.now();
    const job = await this.engine.call("start", request);
    for (let isDone = false; !isDone && !signal.aborted;) {
      const written = await this.engine.call("write", job, [...ended]);
      if (signal.aborted) break;
      texts = written.texts.map((text, index) => {
        const end = findEnd?.(text) ?? null;
        if (end !== null) ended.add(index);
        return text.slice(0, end ?? undefined);
      });
      for (const index of written.stopped) ended.add(index);
      ({ isDone } = written);
      if (performance.now() - shownAt < SHOW_INTERVAL) continue;
      shownAt = performance.now();
      onTexts(texts);
    }
    this.engine.call("stop", job);
    return { texts, ended };
  }

  /** Return the surprise, in bits, of each code unit of a text. */
  findSurprise(text) {
    return this.engine.call("findSurprise", text);
  }

  findNextWords(text) {
    return this.engine.call("findNextWords", text);
  }

  findReplacements(characters) {
    return this.engine.call("findReplacements", characters);
  }

  /** Return the ranges of a text, in code units, that the training text contains. */
  findCopies(text, least) {
    return this.engine.call("findCopies", text, least);
  }

  /** Return the indices of lines of the training text. */
  async findTrainingLines(lines) {
    return new Set(await this.engine.call("findTrainingLines", lines));
  }

  /** Return the model in base64. */
  pack() {
    return this.engine.call("pack");
  }

  /** Return the interface of the model for scripts, with the methods of Model in Python. */
  makeInterface() {
    return {
      ready: true,
      vocabulary: this.model.vocabulary,
      generate: (options) => this.engine.call("generate", options),
      score: (text) => this.engine.call("score", text),
    };
  }
}

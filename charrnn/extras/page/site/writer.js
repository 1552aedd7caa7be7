/**
 * Write with a model in the engine (network/model.js), which runs in a worker, so that the page never
 * waits for it.
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
const TOO_OLD = "This browser is too old for the page: use one of 2023 or later.";
const NO_WORKER = "This browser starts no worker, without which the page cannot write: open it in "
  + "another one.";

export class Writer {
  /** @param {string} script  Of the worker. */
  constructor(script) {
    this.model = null; // as `Model.describe` describes it
    this.calls = new Map(); // number -> the functions of a promise
    this.numCalls = 0;
    this.onStep = () => {}; // called with what is done next while the engine learns
    this.worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
    this.worker.onmessage = ({ data }) => {
      if (data.step) this.onStep(data.step);
      else this.#settle(data);
    };
    this.worker.onerror = () => {
      for (const id of this.calls.keys()) this.#settle({ id, error: NO_WORKER });
    };
  }

  /**
   * Return a writer without a model.
   *
   * @throws {Error} Says why this browser cannot run it.
   */
  static async start(script) {
    let writer;
    try {
      writer = new Writer(script);
    } catch {
      throw new Error(NO_WORKER);
    }
    if (!await writer.call("isSupported")) throw new Error(TOO_OLD);
    return writer;
  }

  /** Return what a method of worker.js or of `Model` returns. */
  call(method, ...args) {
    return new Promise((resolve, reject) => {
      this.calls.set(++this.numCalls, { resolve, reject });
      this.worker.postMessage({ id: this.numCalls, method, args });
    });
  }

  /** Write with a packed model: bytes, or base64. */
  async open(packed) {
    this.model = await this.call("open", packed);
  }

  /** Write with a text that is learnt. */
  async learn(given, facts) {
    this.model = await this.call("learn", given, facts);
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
    const job = await this.call("start", request);
    for (let isDone = false; !isDone && !signal.aborted;) {
      const written = await this.call("write", job, [...ended]);
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
    this.call("stop", job);
    return { texts, ended };
  }

  /** Return the interface of the model for scripts, with the methods of Model in Python. */
  makeInterface() {
    return {
      ready: true,
      vocabulary: this.model.vocabulary,
      generate: (options) => this.call("generate", options),
      score: (text) => this.call("score", text),
    };
  }

  #settle({ id, result, error }) {
    const { resolve, reject } = this.calls.get(id);
    this.calls.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }
}

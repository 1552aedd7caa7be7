/** Let the model write continuations at the caret, side by side. */

import { joinEnd, trimEnd } from "./ending.js";
import { translate } from "./language.js";
import { selectBefore } from "./prompt.js";

const COPY_START = 60; // characters before a continuation in which a copy may start
const COMPARED = 40; // characters after the caret by which continuations are compared
const WARM_UP = 400; // characters before a continuation that the model reads to compare it

export class Generation {
  /**
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  Has `draft`, `editor`, `settings`, `alternatives`, `say(message)`,
   *   `fail(error)` and `showState()`.
   */
  constructor(writer, page) {
    this.writer = writer;
    this.page = page;
    this.anchor = null; // the place of the new text, while it is written or offered
    this.controller = null; // aborts the running request
    page.draft.onChange(() => {
      if (this.anchor === null) return;
      if (page.settings.suggests) this.#outdate();
      else this.dismiss();
    });
  }

  get isBusy() {
    return this.controller !== null;
  }

  /**
   * Write continuations at the caret.
   *
   * @param {object} [options]
   * @param {boolean} [options.isSuggestion]  Replace a running request, and show no messages.
   */
  async start({ isSuggestion = false } = {}) {
    if (this.isBusy && !isSuggestion) return;
    this.stop();
    const { draft: { text }, editor, settings, alternatives } = this.page;
    const { signal } = this.controller = new AbortController();
    const isCurrent = () => this.controller?.signal === signal; // no text was taken or dismissed
    this.anchor = editor.caret;
    const textAfter = text.slice(this.anchor);
    const prompt = selectBefore(text, this.anchor);
    const request = { ...settings.makeRequest(), prompt, signal };
    alternatives.show(Array(request.n).fill(""));
    this.#updateView();
    if (!isSuggestion) {
      this.page.say(translate("Writing …"));
      editor.reveal(this.anchor);
      alternatives.reveal();
    }
    try {
      const { texts, ended } = await this.writer.complete(request, (written) =>
        isCurrent() && alternatives.show(written));
      const fitted = texts.map((each, index) =>
        (ended.has(index) ? joinEnd : trimEnd)(each, textAfter));
      const offered = await this.#sort(fitted.filter(Boolean), prompt, textAfter);
      if (!isCurrent()) return;
      this.controller = null;
      this.#offer(offered, signal.aborted, isSuggestion);
      await alternatives.underlineCopies(this.writer, prompt.slice(-COPY_START));
    } catch (error) {
      if (!isCurrent()) return;
      this.dismiss();
      this.page.fail(error);
    }
  }

  /** Stop writing, and keep the text so far. */
  stop() {
    this.controller?.abort();
  }

  /** Stop writing, and close the continuations. */
  dismiss() {
    this.stop();
    this.controller = null;
    this.anchor = null;
    this.page.alternatives.close();
    this.#updateView();
  }

  /** Stop writing, and keep the continuations in view until new ones replace them. */
  #outdate() {
    this.stop();
    this.controller = null;
    this.page.alternatives.markStale(true);
  }

  /** Insert a text into the draft, and close the continuations. */
  take(text) {
    const { anchor } = this;
    this.dismiss();
    this.page.editor.insert(anchor, anchor, text);
  }

  #offer(texts, wasStopped, isSuggestion) {
    const { alternatives } = this.page;
    if (texts.length) alternatives.show(texts);
    else this.dismiss();
    this.#updateView();
    const sentence = wasStopped ? "Stopped." : "Written: {n}.";
    const values = { n: texts.length };
    this.page.say(translate(texts.length ? sentence : "The model wrote nothing.", values),
      { quietly: isSuggestion });
  }

  /** Sort continuations by the probability that the model gives the text after them. */
  async #sort(texts, prompt, textAfter) {
    const compared = textAfter.slice(0, COMPARED);
    if (!compared.trim()) return texts;
    const before = prompt.slice(-WARM_UP);
    const surprise = new Map();
    for (const text of texts) {
      const bits = await this.writer.findSurprise(before + text + compared);
      const known = bits.slice(-compared.length).filter((value) => !isNaN(value));
      surprise.set(text, known.reduce((sum, value) => sum + value, 0));
    }
    return texts.toSorted((a, b) => surprise.get(a) - surprise.get(b));
  }

  #updateView() {
    this.page.showState(); // before the marker, because on a low screen the text moves
    this.page.editor.showMarker(this.anchor);
  }
}

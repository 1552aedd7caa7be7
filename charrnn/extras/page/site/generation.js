/** Let the model write continuations at the caret, side by side. */

import { joinEnd, trimEnd } from "./ending.js";
import { translate } from "./language.js";
import { selectBefore } from "./prompt.js";

const COPY_START = 60; // characters before a continuation in which a copy may start

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
    this.page.showState();
    if (!isSuggestion) {
      this.page.say(translate("Writing …"));
      editor.reveal();
      alternatives.reveal();
    }
    try {
      const { texts, ended } = await this.writer.complete(request, (written) =>
        isCurrent() && alternatives.show(written));
      if (!isCurrent()) return;
      this.controller = null;
      const fitted = texts.map((each, index) =>
        (ended.has(index) ? joinEnd : trimEnd)(each, textAfter));
      this.#offer(fitted.filter(Boolean), signal.aborted, isSuggestion);
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
    this.page.showState();
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
    this.page.showState();
    const sentence = wasStopped ? "Stopped." : "Written: {n}.";
    const values = { n: texts.length };
    this.page.say(translate(texts.length ? sentence : "The model wrote nothing.", values),
      { quietly: isSuggestion });
  }
}

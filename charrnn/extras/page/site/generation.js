/** Let the model write at the caret: several continuations side by side, or one into the draft. */

import { movePlace, Passage } from "./draft.js";
import { trimEnd } from "./ending.js";
import { makePrompt } from "./prompt.js";

const SHOW_INTERVAL = 33; // milliseconds
const COPY_START = 60; // characters before a continuation in which a copy may start
const COMPARED = 40; // characters after the caret by which continuations are compared
const WARM_UP = 400; // characters before a continuation that the model reads to compare it

export class Generation {
  /**
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  Has `draft`, `editor`, `settings`, `alternatives`, `annotations`, `past`,
   *   `say(message)`, `fail(error)` and `showState()`.
   */
  constructor(writer, page) {
    this.writer = writer;
    this.page = page;
    this.anchor = null; // the place of the new text, while it is written or offered
    this.draftText = ""; // the text of the draft that the continuations belong to
    this.isKept = true; // whether the continuations are among the past ones of the draft
    this.controller = null; // aborts the running request
    this.choices = new WeakMap(); // undo step of a taken text -> its place and all cards
    page.draft.onChange((...change) => {
      if (this.anchor !== null) this.anchor = movePlace(this.anchor, ...change);
      page.editor.showMarker(this.anchor);
      if (page.alternatives.isOpen) this.#updateStale();
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
   * @param {unknown} [options.step]  The undo step of a text that is written into the draft.
   */
  async start({ isSuggestion = false, step = {} } = {}) {
    if (this.isBusy && !isSuggestion) return;
    this.stop();
    if (!isSuggestion) this.keepOffered();
    const { draft, editor, settings, alternatives } = this.page;
    const controller = new AbortController();
    const request = { ...settings.makeRequest(), signal: controller.signal };
    this.controller = controller;
    this.anchor = editor.caret;
    this.draftText = draft.text;
    this.isKept = false;
    this.step = step;
    this.inserted = new Passage(""); // the text that was written into the draft
    const textAfter = draft.text.slice(this.anchor);
    request.prompt = makePrompt(draft, this.anchor);
    if (isSuggestion || request.n > 1) alternatives.show(request.n, textAfter);
    else alternatives.close();
    this.#updateView();
    if (!isSuggestion) {
      this.page.say(request.n > 1 ? `Writing ${request.n} continuations …` : "Writing …");
      editor.reveal(this.anchor);
      if (alternatives.isOpen) alternatives.reveal();
    }

    const startTime = performance.now();
    const pieces = new PieceBuffer((index, passage) => {
      if (this.controller === controller) this.#addPassage(index, passage);
    });
    let failure = null;
    let stopped = new Set(); // the indices of texts that ended before `stop`: they are not cut
    try {
      stopped = await this.writer.complete(request,
        (index, characters) => pieces.add(index, characters));
    } catch (error) {
      failure = error;
    }
    pieces.flush();
    if (this.controller !== controller) return; // a text was taken, or all were dismissed
    if (alternatives.isOpen) {
      alternatives.complete(stopped);
      if (!failure && textAfter.trim()) await this.#sort(request, textAfter.slice(0, COMPARED));
      if (this.controller !== controller) return;
    } else if (!stopped.has(0)) {
      this.#trimInserted(textAfter);
    }
    this.#finish(pieces.count, performance.now() - startTime, isSuggestion);
    if (failure) {
      this.page.fail(failure);
      return;
    }
    const findCopies = (text) => this.page.annotations.findCopies(request.model, text);
    const before = request.prompt.slice(-COPY_START);
    await alternatives.underlineCopies(findCopies, before).catch((error) => this.page.fail(error));
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

  /** Insert a passage into the draft, and close the continuations. */
  take(passage) {
    const place = this.anchor;
    const step = {};
    this.keepOffered();
    this.page.past.removeTaken(passage);
    this.choices.set(step, { place, cards: this.page.alternatives.cards });
    this.dismiss();
    this.page.draft.replace(place, place, passage, step);
    this.page.editor.select(place + passage.length);
  }

  /** Keep the continuations on offer for later, unless they are kept. */
  keepOffered() {
    const { alternatives, past } = this.page;
    if (this.isKept || !alternatives.isOpen) return;
    this.isKept = true;
    past.addOffered(alternatives.cards.map(({ passage }) => passage));
  }

  /** Offer past continuations at the caret. */
  offerPast(passages) {
    this.dismiss();
    this.isKept = true;
    this.#offer(this.page.alternatives.makeCards(passages), this.page.editor.caret);
  }

  /** Insert a word into the draft, and offer the rest of the continuations with that word. */
  takeWord(word, rest) {
    const place = this.anchor + word.length;
    this.take(word);
    if (rest.length) this.#offer(rest, place);
  }

  /**
   * Offer the continuations of a step again after its undo, and close them after its redo.
   *
   * @returns {boolean} Whether continuations are offered.
   */
  restoreChoice(direction, step) {
    const choice = this.choices.get(step);
    if (!choice) return false;
    this.dismiss();
    if (direction === "undo") this.#offer(choice.cards, choice.place);
    return direction === "undo";
  }

  #offer(cards, place) {
    this.anchor = place;
    this.draftText = this.page.draft.text;
    this.page.alternatives.offer(cards);
    this.#updateView();
  }

  #addPassage(index, passage) {
    const { draft, editor, alternatives } = this.page;
    if (alternatives.isOpen) {
      alternatives.add(index, passage);
      return;
    }
    const isCaretThere = editor.caret === this.anchor;
    draft.replace(this.anchor, this.anchor, passage, this.step);
    this.inserted = this.inserted.append(passage);
    if (isCaretThere) editor.select(this.anchor);
  }

  /** Cut the text that was written into the draft at its last sentence or word. */
  #trimInserted(textAfter) {
    const { draft } = this.page;
    const { length } = trimEnd(this.inserted, textAfter);
    const start = this.anchor - this.inserted.length + length;
    const cut = this.inserted.text.slice(length);
    if (draft.text.slice(start, this.anchor) !== cut) return; // the user changed it
    draft.replace(start, this.anchor, new Passage(""), this.step);
  }

  /** Sort the continuations by the probability that the model gives the text after them. */
  async #sort({ model, signal }, textAfter) {
    const { alternatives, draft } = this.page;
    const before = makePrompt(draft, this.anchor, WARM_UP);
    const surprise = new Map();
    try {
      for (const card of alternatives.cards) {
        const text = before + card.passage.text + textAfter;
        const { bits } = Passage.fromCharacters(await this.writer.score(model, text));
        const known = bits.slice(-textAfter.length).filter((value) => !isNaN(value));
        surprise.set(card, known.reduce((sum, value) => sum + value, 0));
        if (signal.aborted) return;
      }
    } catch {
      return; // without scores the order stays
    }
    alternatives.offer(alternatives.cards.toSorted((a, b) => surprise.get(a) - surprise.get(b)));
    this.#updateStale();
  }

  /** Mark the continuations as stale if the draft has changed since their start. */
  #updateStale() {
    const { alternatives, draft } = this.page;
    const isStale = draft.text !== this.draftText;
    if (isStale && this.isBusy) this.stop();
    alternatives.markStale(isStale);
  }

  #finish(count, milliseconds, quietly) {
    const { alternatives } = this.page;
    const { aborted } = this.controller.signal;
    this.controller = null;
    if (!count) alternatives.close();
    if (!alternatives.isOpen) this.anchor = null;
    if (!quietly) this.keepOffered();
    this.#updateView();
    const speed = Math.round((count / milliseconds) * 1000).toLocaleString("en");
    const { length } = alternatives.cards;
    const texts = alternatives.isOpen && length > 1 ? `${length} texts, ` : "";
    if (aborted) this.page.say("Stopped.");
    else if (!count) this.page.say("The model wrote nothing.");
    else this.page.say(`${texts}${speed} characters a second`, { quietly });
  }

  #updateView() {
    this.page.showState(); // before the marker, because on a low screen the text moves
    this.page.editor.showMarker(this.anchor);
  }
}

/** Collects new characters, and shows them at most once in SHOW_INTERVAL. */
class PieceBuffer {
  constructor(show) {
    this.show = show;
    this.pending = new Map(); // index of a continuation -> its new characters
    this.count = 0;
    this.timer = 0;
  }

  add(index, characters) {
    if (!this.pending.has(index)) this.pending.set(index, []);
    this.pending.get(index).push(...characters);
    this.count += characters.length;
    this.timer ||= setTimeout(() => this.flush(), SHOW_INTERVAL);
  }

  flush() {
    clearTimeout(this.timer);
    this.timer = 0;
    const pending = [...this.pending];
    this.pending.clear();
    for (const [index, added] of pending) this.show(index, Passage.fromCharacters(added));
  }
}

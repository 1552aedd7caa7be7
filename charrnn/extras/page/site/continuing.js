/** Has the writer write on where the caret is: several continuations, or one into the text. */

import { movedBy, Passage } from "./draft.js";
import { ended } from "./ending.js";

const SHOWN_EVERY = 33; // milliseconds
const BEFORE_A_COPY = 60; // characters before a continuation in which a copy may have begun
const LEAD = 40; // characters of what follows by which continuations are compared
const WARMED = 400; // characters before a continuation that are read for that
const PROMPT = 8192; // at most as many characters are read before what is written

/**
 * The text before a place, or its last part. Where that begins moves in large steps, so that a
 * server that remembers what it has read has to read little of it again.
 */
export function promptBefore(text, place) {
  const step = PROMPT / 2;
  return text.slice(Math.max(0, Math.ceil((place - PROMPT) / step) * step), place);
}

export class Continuing {
  /**
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  The `draft`, `editor`, `settings`, `alternatives` and `findings` of the page,
   *   and its `say(message)`, `fail(error)` and `showState()`.
   */
  constructor(writer, page) {
    this.writer = writer;
    this.page = page;
    this.anchor = null; // where the text goes, while it is written or to be chosen
    this.text = ""; // the draft that the continuations are for
    this.controller = null; // stops what is being written
    this.taken = new WeakMap(); // step that put a choice into the text -> where, and all its cards
    page.draft.onChange((...change) => {
      if (this.anchor !== null) this.anchor = movedBy(this.anchor, ...change);
      page.editor.mark(this.anchor);
      if (page.alternatives.open) this.#compare();
    });
  }

  get busy() {
    return this.controller !== null;
  }

  /**
   * @param {object} [how]
   * @param {boolean} [how.along]  Beside the text, whatever is being written already.
   * @param {unknown} [how.step]  The step in the draft's history that one text is a part of.
   */
  async start({ along = false, step = {} } = {}) {
    if (this.busy && !along) return;
    this.stop();
    const { draft, editor, settings, alternatives } = this.page;
    const controller = new AbortController();
    const request = { ...settings.request(), signal: controller.signal };
    this.controller = controller;
    this.anchor = editor.caret;
    this.text = draft.text;
    this.step = step;
    this.written = new Passage(""); // what went straight into the draft
    const after = draft.text.slice(this.anchor);
    request.prompt = promptBefore(draft.text, this.anchor);
    if (along || request.n > 1) alternatives.show(request.n, after);
    else alternatives.close();
    if (!along) this.page.say(request.n > 1 ? `Writing ${request.n} continuations …` : "Writing …");
    this.#show();
    if (!along) {
      editor.reveal(this.anchor);
      if (alternatives.open) alternatives.reveal();
    }

    const began = performance.now();
    const pieces = new Pieces((index, passage) => {
      if (this.controller === controller) this.#written(index, passage);
    });
    let failure = null;
    try {
      await this.writer.complete(request, (index, characters) => pieces.add(index, characters));
    } catch (error) {
      failure = error;
    }
    pieces.flush();
    if (this.controller !== controller) return; // one was taken, or all were dismissed
    if (alternatives.open) {
      alternatives.end();
      if (!failure && after.trim()) await this.#order(request, after.slice(0, LEAD));
      if (this.controller !== controller) return;
    } else {
      this.#end(after);
    }
    this.#ended(pieces.count, performance.now() - began, along);
    if (failure) {
      this.page.fail(failure);
      return;
    }
    const copied = (text) => this.page.findings.copied(request.model, text);
    const before = request.prompt.slice(-BEFORE_A_COPY);
    await alternatives.underlineCopied(copied, before).catch((error) => this.page.fail(error));
  }

  /** End the writing and keep what was written. */
  stop() {
    this.controller?.abort();
  }

  /** End the writing and the choice. */
  dismiss() {
    this.stop();
    this.controller = null;
    this.anchor = null;
    this.page.alternatives.close();
    this.#show();
  }

  /** Put a passage into the text, in place of the choice. */
  take(passage) {
    const place = this.anchor;
    const step = {};
    this.taken.set(step, { place, cards: this.page.alternatives.cards });
    this.dismiss();
    this.page.draft.replace(place, place, passage, step);
    this.page.editor.select(place + passage.length);
  }

  /** Put a word into the text, and offer the rest of what has it. */
  takeWord(word, rest) {
    const place = this.anchor + word.length;
    this.take(word);
    if (rest.length) this.#offer(rest, place);
  }

  /**
   * Offer the last choice again when it was undone, and no more when it was redone.
   *
   * @returns {boolean} Whether a choice is offered.
   */
  travelled(direction, step) {
    const taken = this.taken.get(step);
    if (!taken) return false;
    this.dismiss();
    if (direction === "undo") this.#offer(taken.cards, taken.place);
    return direction === "undo";
  }

  #offer(cards, place) {
    this.anchor = place;
    this.text = this.page.draft.text;
    this.page.alternatives.offer(cards);
    this.#show();
  }

  #written(index, passage) {
    const { draft, editor, alternatives } = this.page;
    if (alternatives.open) {
      alternatives.add(index, passage);
      return;
    }
    const follows = editor.caret === this.anchor;
    draft.replace(this.anchor, this.anchor, passage, this.step);
    this.written = this.written.replaced(this.written.length, this.written.length, passage);
    if (follows) editor.select(this.anchor);
  }

  /** End the text that was written into the draft at a sentence or a word. */
  #end(after) {
    const { draft } = this.page;
    const { length } = ended(this.written, after);
    const start = this.anchor - this.written.length + length;
    const cut = this.written.text.slice(length);
    if (draft.text.slice(start, this.anchor) !== cut) return; // it was changed by hand
    draft.replace(start, this.anchor, new Passage(""), this.step);
  }

  /** Put first what leads best into the text that follows, by the model's score of that text. */
  async #order({ model, prompt, signal }, lead) {
    const { alternatives } = this.page;
    const likely = new Map();
    try {
      for (const card of alternatives.cards) {
        const text = prompt.slice(-WARMED) + card.passage.text + lead;
        const { bits } = Passage.written(await this.writer.score(model, text));
        likely.set(card, -bits.slice(-lead.length).filter((value) => !isNaN(value))
          .reduce((sum, value) => sum + value, 0));
        if (signal.aborted) return;
      }
    } catch {
      return; // they stay as they were written
    }
    alternatives.offer(alternatives.cards.toSorted((a, b) => likely.get(b) - likely.get(a)));
    this.#compare();
  }

  /** What goes on from another text than the draft is stale. */
  #compare() {
    const { alternatives, draft } = this.page;
    const stale = draft.text !== this.text;
    if (stale && this.busy) this.stop();
    alternatives.markStale(stale);
  }

  #ended(count, milliseconds, quietly) {
    const { alternatives } = this.page;
    const stopped = this.controller.signal.aborted;
    this.controller = null;
    if (!count) alternatives.close();
    if (!alternatives.open) this.anchor = null;
    this.#show();
    const speed = Math.round((count / milliseconds) * 1000).toLocaleString("en");
    const { length } = alternatives.cards;
    const texts = alternatives.open && length > 1 ? `${length} texts, ` : "";
    if (stopped) this.page.say("Stopped.");
    else if (!count) this.page.say("The model wrote nothing.");
    else this.page.say(`${texts}${speed} characters a second`, { quietly });
  }

  #show() {
    this.page.showState(); // on a low screen the text moves up for a choice
    this.page.editor.mark(this.anchor);
  }
}

/** Gathers what is written, so that it is shown at most every few milliseconds. */
class Pieces {
  constructor(show) {
    this.show = show;
    this.gathered = new Map(); // index of a continuation -> its new characters
    this.count = 0;
    this.timer = 0;
  }

  add(index, characters) {
    if (!this.gathered.has(index)) this.gathered.set(index, []);
    this.gathered.get(index).push(...characters);
    this.count += characters.length;
    this.timer ||= setTimeout(() => this.flush(), SHOWN_EVERY);
  }

  flush() {
    clearTimeout(this.timer);
    this.timer = 0;
    const gathered = [...this.gathered];
    this.gathered.clear();
    for (const [index, characters] of gathered) this.show(index, Passage.written(characters));
  }
}

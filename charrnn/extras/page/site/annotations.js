/** Mark the copied parts of the draft, and its surprise to the model. */

import { mark } from "./marks.js";
import { selectBefore } from "./prompt.js";

export const SHORTEST_COPY = 30; // characters
const SCORED = 4000; // characters around the caret that are scored
const WARM_UP = 400; // characters that the model reads before the scored ones
const LEVELS = [2, 3.5, 5, 7, 10]; // the lowest surprise, in bits, of each tint

export class Annotations {
  /**
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  Has `draft`, `editor` and `settings`.
   */
  constructor(writer, page) {
    this.writer = writer;
    this.page = page;
  }

  /** Remove all marks, and compute them with the present model. */
  async reset() {
    this.#mark([], []);
    await this.update();
  }

  /** Compute the marks again, after a change of the text. */
  async update() {
    const { writer, page: { draft: { text }, settings, editor } } = this;
    const { model } = writer;
    if (editor.isPlain) return;
    const copies = model.hasText ? await writer.call("findCopies", text, SHORTEST_COPY) : [];
    const start = Math.max(0, editor.caret - SCORED / 2);
    const before = selectBefore(text, start, WARM_UP);
    const scored = settings.tints ? before + text.slice(start, start + SCORED) : "";
    const surprise = await writer.call("findSurprise", scored);
    if (this.page.draft.text !== text || writer.model !== model) return;
    const levels = [...surprise].slice(before.length).map((bits, index) =>
      [start + index, LEVELS.filter((least) => bits >= least).length]);
    this.#mark(copies, levels);
  }

  /**
   * Show marks instead of those before.
   *
   * @param {[number, number][]} copies  Each with its start and end.
   * @param {[number, number][]} levels  Places, each with the tint of its character.
   */
  #mark(copies, levels) {
    const { node } = this.page.editor.mirror;
    mark("copied", copies.map(([start, end]) => [node, start, end]));
    for (let level = 1; level <= LEVELS.length; level++) {
      const places = levels.filter((each) => each[1] === level);
      mark(`surprise-${level}`, places.map(([place]) => [node, place, place + 1]));
    }
  }
}

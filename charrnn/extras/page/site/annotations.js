/** Mark the copied parts of the draft, its unknown characters, and its surprise to the model. */

import { selectBefore } from "./prompt.js";

export const SHORTEST_COPY = 30; // characters
const SEARCHED = 20_000; // characters around the caret that are searched for copies
const SCORED = 4000; // characters around the caret that are scored
const WARM_UP = 400; // characters that the model reads before the scored ones

export class Annotations {
  /**
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  Has `draft`, `editor` and `settings`.
   */
  constructor(writer, page) {
    this.writer = writer;
    this.page = page;
    this.replacements = new Map(); // character -> the text that the model reads for it
  }

  /** Remove all marks, and compute them with the present model. */
  async reset() {
    const { draft, editor } = this.page;
    draft.copied.fill(0);
    draft.bits.fill(NaN);
    editor.mirror.repaint(0, draft.text.length);
    this.replacements.clear();
    await this.update();
  }

  /** Compute the marks again, after a change of the text. */
  async update() {
    const { draft, settings, editor } = this.page;
    const { model } = this.writer;
    const unseen = [...new Set(draft.text)].filter((char) => !this.replacements.has(char));
    if (unseen.length) {
      const replacements = await this.writer.findReplacements(unseen);
      if (this.writer.model !== model) return;
      for (const character of unseen) this.replacements.set(character, character);
      for (const [char, other] of Object.entries(replacements)) this.replacements.set(char, other);
    }
    if (editor.isPlain) return;
    if (model.hasText) {
      await this.#annotate(SEARCHED, async (text, start, end) => {
        const ranges = await this.writer.findCopies(text.slice(start, end), SHORTEST_COPY);
        return () => {
          draft.copied.fill(0, start, end);
          for (const [from, to] of ranges) draft.copied.fill(1, start + from, start + to);
        };
      });
    }
    if (settings.tints) {
      await this.#annotate(SCORED, async (text, start, end) => {
        const before = selectBefore(text, start, WARM_UP);
        const bits = await this.writer.findSurprise(before + text.slice(start, end));
        return () => draft.bits.set(bits.subarray(before.length), start);
      });
    }
  }

  /** Return the unknown characters of the draft, each with its replacement. */
  listUnknown() {
    const characters = [...new Set(this.page.draft.text)];
    return characters.map((character) => [character, this.replacements.get(character)])
      .filter(([character, other]) => other !== undefined && other !== character);
  }

  /**
   * Compute marks of the text around the caret, and show them.
   *
   * @param {number} length  The number of characters.
   * @param {(text: string, start: number, end: number) => Promise<() => void>} compute  Returns a
   *   function that stores the marks. It is not called if the text has changed in the meantime.
   */
  async #annotate(length, compute) {
    const { draft, editor } = this.page;
    const { text } = draft;
    const { model } = this.writer;
    const start = Math.max(0, editor.caret - length / 2);
    const end = Math.min(text.length, start + length);
    if (start === end) return;
    const storeMarks = await compute(text, start, end);
    if (draft.text !== text || this.writer.model !== model) return;
    storeMarks();
    editor.mirror.repaint(start, end);
  }
}

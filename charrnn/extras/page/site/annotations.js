/** Mark the copied parts of the draft, its unknown characters, and the surprise of typed text. */
import { Passage } from "./draft.js";
import { makePrompt } from "./prompt.js";

const HEADING = /^[^\n]{1,40}:[ \t]*\n?|\n/gm; // a speaker's name, or an empty line
const SHORTEST_COPY = 20; // characters outside of headings
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
    this.canFindCopies = false;
    this.replacements = new Map(); // character -> the text that the model reads for it
  }

  /** Remove all marks, and compute them with the chosen model. */
  async reset() {
    const { draft, editor, settings } = this.page;
    draft.copied.fill(0);
    draft.typedBits.fill(NaN);
    editor.mirror.repaint(0, draft.text.length);
    this.replacements.clear();
    const model = settings.chosenModel;
    const canFindCopies = (await this.writer.findCopies(model, "")) !== null;
    if (settings.chosenModel !== model) return; // another call annotates by the new model
    this.canFindCopies = canFindCopies;
    settings.showCopiesOption(canFindCopies);
    await this.update();
  }

  /** Compute the marks again, after a change of the text. */
  async update() {
    const { draft, settings } = this.page;
    const model = settings.chosenModel;
    const unseen = [...new Set(draft.text)].filter((char) => !this.replacements.has(char));
    if (unseen.length) {
      const replacements = await this.writer.findReplacements(model, unseen);
      if (settings.chosenModel !== model) return;
      for (const character of unseen) this.replacements.set(character, character);
      for (const [char, other] of Object.entries(replacements)) this.replacements.set(char, other);
    }
    if (this.canFindCopies) {
      await this.#annotate(SEARCHED, async (text, start, end) => {
        const ranges = await this.findCopies(model, text.slice(start, end));
        return () => {
          draft.copied.fill(0, start, end);
          for (const [from, to] of ranges ?? []) draft.copied.fill(1, start + from, start + to);
        };
      });
    }
    if (settings.scoresTyped) {
      await this.#annotate(SCORED, async (text, start, end) => {
        const before = makePrompt(draft, start, WARM_UP);
        const scored = await this.writer.score(model, before + text.slice(start, end));
        const { bits } = Passage.fromCharacters(scored);
        return () => {
          if (!settings.scoresTyped || bits.length !== before.length + end - start) return;
          draft.typedBits.set(bits.subarray(before.length), start);
        };
      });
    }
  }

  /** Return the copied ranges of a text, without those that are mostly headings. */
  async findCopies(model, text) {
    const ranges = await this.writer.findCopies(model, text);
    const isLong = ([start, end]) => countOutsideHeadings(text, start, end) >= SHORTEST_COPY;
    return ranges?.filter(isLong) ?? null;
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
    const { draft, editor, settings } = this.page;
    const [text, model] = [draft.text, settings.chosenModel];
    const start = Math.max(0, editor.caret - length / 2);
    const end = Math.min(text.length, start + length);
    if (start === end) return;
    const storeMarks = await compute(text, start, end);
    if (draft.text !== text || settings.chosenModel !== model) return;
    storeMarks();
    editor.mirror.repaint(start, end);
  }
}

/** Return the number of characters from `start` to `end` of a text that are not in headings. */
function countOutsideHeadings(text, start, end) {
  let length = end - start;
  for (const { 0: heading, index } of text.matchAll(HEADING)) {
    length -= Math.max(0, Math.min(end, index + heading.length) - Math.max(start, index));
  }
  return length;
}

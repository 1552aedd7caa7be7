/** Finds out about the draft what is copied, what is unknown, and how surprising is what was typed. */

import { Passage } from "./draft.js";

const HEADING = /^[^\n]{1,40}:[ \t]*\n?|\n/gm; // a speaker's name, or an empty line
const LEAST = 20; // characters beside headings that are worth a line
const COPIES = 20_000; // characters around the caret that are searched for copies
const SCORED = 4000; // characters around the caret that are scored
const WARMED = 400; // characters before those that are read without being scored

export class Findings {
  /**
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  The `draft`, `editor` and `settings` of the page.
   */
  constructor(writer, page) {
    this.writer = writer;
    this.page = page;
    this.tellsCopies = false;
    this.readAs = new Map(); // character -> what the model reads instead; itself if it knows it
  }

  /** Begin anew: what can be found out depends on the model, and so does what is found. */
  async begin() {
    const { draft, editor, settings } = this.page;
    draft.copied.fill(0);
    draft.scored.fill(NaN);
    editor.mirror.repaint(0, draft.text.length);
    this.readAs.clear();
    const model = settings.chosenModel;
    const tellsCopies = (await this.writer.copied(model, "")) !== null;
    if (settings.chosenModel !== model) return; // it is asked about anew
    this.tellsCopies = tellsCopies;
    settings.offerCopied(tellsCopies);
    await this.look();
  }

  /** Look again, after a change of the text. */
  async look() {
    const { draft, settings } = this.page;
    const model = settings.chosenModel;
    const unseen = [...new Set(draft.text)].filter((character) => !this.readAs.has(character));
    if (unseen.length) {
      const readAs = await this.writer.readAs(model, unseen);
      if (settings.chosenModel !== model) return; // it is looked at again
      for (const character of unseen) {
        this.readAs.set(character, character in readAs ? readAs[character] : character);
      }
    }
    if (this.tellsCopies) {
      await this.#find(COPIES, async (text, start, end) => {
        const ranges = await this.copied(model, text.slice(start, end));
        return () => {
          draft.copied.fill(0, start, end);
          for (const [from, to] of ranges ?? []) draft.copied.fill(1, start + from, start + to);
        };
      });
    }
    if (settings.scoresTyped) {
      await this.#find(SCORED, async (text, start, end) => {
        const from = Math.max(0, start - WARMED);
        const { bits } = Passage.written(await this.writer.score(model, text.slice(from, end)));
        return () => {
          if (!settings.scoresTyped || bits.length !== end - from) return; // or it was unticked
          draft.scored.set(bits.subarray(start - from), start);
        };
      });
    }
  }

  /** The parts of a text that are copied, as of a writer, but for headings known by heart. */
  async copied(model, text) {
    const ranges = await this.writer.copied(model, text);
    return ranges?.filter(([start, end]) => lengthBesideHeadings(text, start, end) >= LEAST) ?? null;
  }

  /** The unknown characters of the draft, each with what is read instead, as of a writer. */
  unknown() {
    const characters = [...new Set(this.page.draft.text)];
    return characters.map((character) => [character, this.readAs.get(character)])
      .filter(([character, instead]) => instead !== undefined && instead !== character);
  }

  /**
   * Have so many characters around the caret looked at, and show what was found.
   *
   * @param {(text: string, start: number, end: number) => Promise<() => void>} ask  Gives what
   *   notes the findings; it is not called if the text has changed in the meantime.
   */
  async #find(most, ask) {
    const { draft, editor, settings } = this.page;
    const [text, model] = [draft.text, settings.chosenModel];
    const start = Math.max(0, editor.caret - most / 2);
    const end = Math.min(text.length, start + most);
    if (start === end) return;
    const note = await ask(text, start, end);
    if (draft.text !== text || settings.chosenModel !== model) return; // it is looked at again
    note();
    editor.mirror.repaint(start, end);
  }
}

/** How many characters from `start` to `end` of a text are in no heading. */
function lengthBesideHeadings(text, start, end) {
  let length = end - start;
  for (const { 0: heading, index } of text.matchAll(HEADING)) {
    length -= Math.max(0, Math.min(end, index + heading.length) - Math.max(start, index));
  }
  return length;
}

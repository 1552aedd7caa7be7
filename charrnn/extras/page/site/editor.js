/** The text area, with its mirror behind it and a mark where text is written. */

import { difference, Passage } from "./draft.js";
import { Mirror } from "./mirror.js";

const PAUSE = 1000; // milliseconds without a key after which typing is another step to undo

export class Editor {
  /**
   * @param {HTMLElement} sheet  Holds `textarea`, `.mirror`, `.marker` and `.probe`.
   * @param {import("./draft.js").Draft} draft
   */
  constructor(sheet, draft) {
    this.textarea = sheet.querySelector("textarea");
    this.mirror = new Mirror(sheet.querySelector(".mirror"), draft);
    this.marker = sheet.querySelector(".marker");
    this.probe = sheet.querySelector(".probe");
    this.draft = draft;
    this.typing = { step: {}, place: 0, deleting: false, time: 0 };
    this.textarea.addEventListener("input", () => this.#typed());
    draft.onChange((start, removed, inserted) => this.#changed(start, removed, inserted));
  }

  /** Where writing goes on: the caret, or the end of what is selected. */
  get caret() {
    return this.textarea.selectionEnd;
  }

  /** Put the caret at a place of the text and bring it into view. */
  select(place) {
    this.textarea.setSelectionRange(place, place);
    this.reveal(place);
  }

  /** The place of the character that was clicked; null beside the text or with text selected. */
  characterUnder({ clientX, clientY, detail }) {
    const { selectionStart, selectionEnd } = this.textarea;
    if (selectionStart !== selectionEnd || detail > 1) return null;
    for (const place of [selectionEnd, selectionEnd - 1]) {
      if (place < 0 || place >= this.draft.text.length) continue;
      const { left, right, top, bottom } = this.mirror.rectangle(place);
      const isInside = left <= clientX && clientX <= right && top <= clientY && clientY <= bottom;
      if (isInside) return place;
    }
    return null;
  }

  reveal(place) {
    this.#put(this.probe, place);
    this.probe.scrollIntoView({ block: "nearest" });
  }

  /** Show where writing goes on while the caret may be elsewhere; null takes the mark away. */
  mark(place) {
    this.marker.hidden = place === null;
    if (place !== null) this.#put(this.marker, place);
  }

  #typed() {
    const [start, end, inserted] = difference(this.draft.text, this.textarea.value, this.caret);
    this.draft.replace(start, end, new Passage(inserted), this.#step(start, end, inserted));
  }

  /** One step to undo is about a word that was typed, or letters that were deleted, in one go. */
  #step(start, end, inserted) {
    const { step, place, deleting, time } = this.typing;
    const now = performance.now();
    const wordEnds = /^\s/.test(inserted) && /\S/.test(this.draft.text[start - 1] ?? "");
    const isOne = inserted.length + (end - start) <= 2; // an emoji is two; more was pasted or cut
    const goesOn = (start === place || end === place) && deleting === !inserted
      && now - time < PAUSE && isOne && !wordEnds;
    this.typing = {
      step: goesOn ? step : {},
      place: start + inserted.length,
      deleting: !inserted,
      time: now,
    };
    return this.typing.step;
  }

  #changed(start, removed, inserted) {
    this.mirror.replace(start, removed, inserted);
    if (this.textarea.value !== this.draft.text) {
      this.textarea.setRangeText(inserted, start, start + removed, "preserve");
    }
  }

  #put(element, place) {
    const { left, top, height } = this.mirror.rectangle(place);
    const origin = this.mirror.element.getBoundingClientRect();
    element.style.left = `${left - origin.left}px`;
    element.style.top = `${top - origin.top}px`;
    element.style.height = `${height}px`;
  }
}

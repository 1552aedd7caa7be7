/** The text area, its mirror behind it, and a marker at the place where the model writes. */

import { findChange, Passage } from "./draft.js";
import { Mirror } from "./mirror.js";

const PAUSE = 1000; // milliseconds without a key after which typing starts a new undo step

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
    this.lastTyping = { step: {}, place: 0, isDeletion: false, time: 0 };
    this.textarea.addEventListener("input", () => this.#readTyping());
    draft.onChange((start, removed, inserted) => this.#showChange(start, removed, inserted));
  }

  /** The place where the model continues: the caret, or the end of the selection. */
  get caret() {
    return this.textarea.selectionEnd;
  }

  /** Put the caret at a place of the text and scroll to it. */
  select(place) {
    this.textarea.setSelectionRange(place, place);
    this.reveal(place);
  }

  /** Return the place of the clicked character; null beside the text or if text is selected. */
  findCharacter({ clientX, clientY, detail }) {
    const { selectionStart, selectionEnd } = this.textarea;
    if (selectionStart !== selectionEnd || detail > 1) return null;
    for (const place of [selectionEnd, selectionEnd - 1]) {
      if (place < 0 || place >= this.draft.text.length) continue;
      const { left, right, top, bottom } = this.mirror.findBox(place);
      const isInside = left <= clientX && clientX <= right && top <= clientY && clientY <= bottom;
      if (isInside) return place;
    }
    return null;
  }

  reveal(place) {
    this.#moveTo(this.probe, place);
    this.probe.scrollIntoView({ block: "nearest" });
  }

  /** Show the marker at a place, or hide it (null). */
  showMarker(place) {
    this.marker.hidden = place === null;
    if (place !== null) this.#moveTo(this.marker, place);
  }

  #readTyping() {
    const [start, end, inserted] = findChange(this.draft.text, this.textarea.value, this.caret);
    this.draft.replace(start, end, new Passage(inserted), this.#chooseStep(start, end, inserted));
  }

  /** Return the undo step of a change: a typed word or deleted letters form one step. */
  #chooseStep(start, end, inserted) {
    const { step, place, isDeletion, time } = this.lastTyping;
    const now = performance.now();
    const wordEnds = /^\s/.test(inserted) && /\S/.test(this.draft.text[start - 1] ?? "");
    const isTyped = inserted.length + (end - start) <= 2; // an emoji has two units; else a paste
    const continues = (start === place || end === place) && isDeletion === !inserted
      && now - time < PAUSE && isTyped && !wordEnds;
    this.lastTyping = {
      step: continues ? step : {},
      place: start + inserted.length,
      isDeletion: !inserted,
      time: now,
    };
    return this.lastTyping.step;
  }

  #showChange(start, removed, inserted) {
    this.mirror.replace(start, removed, inserted);
    if (this.textarea.value !== this.draft.text) {
      this.textarea.setRangeText(inserted, start, start + removed, "preserve");
    }
  }

  #moveTo(element, place) {
    const { left, top, height } = this.mirror.findBox(place);
    const origin = this.mirror.element.getBoundingClientRect();
    element.style.left = `${left - origin.left}px`;
    element.style.top = `${top - origin.top}px`;
    element.style.height = `${height}px`;
  }
}

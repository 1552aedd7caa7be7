/**
 * The text area and, behind it, its mirror: the same text in the same type, where tints and
 * underlines are painted, which a text area cannot have. The mirror also gives both their height.
 */

import { difference, Passage } from "./draft.js";
import { paint } from "./tint.js";

const PAUSE = 1000; // milliseconds without a key after which typing is another step to undo

export class Editor {
  /**
   * @param {HTMLElement} sheet  Holds `textarea`, `.mirror` and `.marker`.
   * @param {import("./draft.js").Draft} draft
   */
  constructor(sheet, draft) {
    this.textarea = sheet.querySelector("textarea");
    this.mirror = sheet.querySelector(".mirror");
    this.marker = sheet.querySelector(".marker");
    this.draft = draft;
    this.node = this.mirror.appendChild(document.createTextNode(""));
    // A last line that is empty has no height without something on it.
    this.end = this.mirror.appendChild(document.createTextNode("\u200b"));
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

  reveal(place) {
    const { top, bottom } = this.#rectangle(place);
    const room = this.textarea.closest(".room");
    const view = room.getBoundingClientRect();
    const margin = 2 * (bottom - top);
    if (bottom + margin > view.bottom) room.scrollTop += bottom + margin - view.bottom;
    else if (top - margin < view.top) room.scrollTop += top - margin - view.top;
  }

  /** Show where writing goes on while the caret may be elsewhere; null takes the mark away. */
  mark(place) {
    this.marker.hidden = place === null;
    if (place === null) return;
    const { left, top, bottom } = this.#rectangle(place);
    const origin = this.mirror.getBoundingClientRect();
    this.marker.style.left = `${left - origin.left}px`;
    this.marker.style.top = `${top - origin.top}px`;
    this.marker.style.height = `${bottom - top}px`;
  }

  repaint() {
    paint(this.node, this.draft.passage.bits, this.draft.copied);
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
    const goesOn = (start === place || end === place) && deleting === !inserted
      && now - time < PAUSE && !wordEnds;
    this.typing = {
      step: goesOn ? step : {},
      place: start + inserted.length,
      deleting: !inserted,
      time: now,
    };
    return this.typing.step;
  }

  #changed(start, removed, inserted) {
    this.node.replaceData(start, removed, inserted);
    if (this.textarea.value !== this.draft.text) {
      this.textarea.setRangeText(inserted, start, start + removed, "preserve");
    }
    this.repaint();
  }

  /** The rectangle whose left edge is the place: that of the character after it. */
  #rectangle(place) {
    const range = document.createRange();
    const [node, offset] = place < this.node.length ? [this.node, place] : [this.end, 0];
    range.setStart(node, offset);
    range.setEnd(node, offset + 1);
    return range.getClientRects()[0] ?? range.getBoundingClientRect();
  }
}

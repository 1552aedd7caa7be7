/** The text area, its mirror behind it, and a marker at the place where the model writes. */

import { findChange } from "./draft.js";
import { Mirror } from "./mirror.js";

const LONGEST = 50_000; // characters; a longer draft is a plain text field, without its mirror

export const isTouch = () => matchMedia("(pointer: coarse)").matches;

export class Editor {
  /**
   * @param {HTMLElement} sheet  Holds `textarea`, `.mirror`, `.marker` and `.probe`.
   * @param {import("./draft.js").Draft} draft
   */
  constructor(sheet, draft) {
    this.sheet = sheet;
    this.draft = draft;
    this.isPlain = false; // whether the draft is too long for its mirror
    this.textarea = sheet.querySelector("textarea");
    this.mirror = new Mirror(sheet.querySelector(".mirror"), draft);
    this.marker = sheet.querySelector(".marker");
    this.probe = sheet.querySelector(".probe");
    this.textarea.addEventListener("input", () =>
      draft.replace(...findChange(draft.text, this.textarea.value, this.caret)));
    draft.onChange((...change) => this.#showChange(...change));
  }

  /** The place where the model continues: the caret, or the end of the selection. */
  get caret() {
    return this.textarea.selectionEnd;
  }

  /** Show another text, without the browser's history of the one before. */
  reset(text, caret) {
    this.textarea.readOnly = false; // before, there is no draft to write into
    this.textarea.value = text;
    this.draft.replace(0, this.draft.text.length, text);
    this.select(Math.min(caret, text.length));
  }

  /** Replace a part of the text as if it were typed, so that the browser can undo it. */
  insert(start, end, text) {
    const { textarea } = this;
    const hadFocus = document.activeElement === textarea;
    textarea.inputMode = "none"; // which opens no keyboard on a touch screen
    textarea.focus({ preventScroll: true });
    textarea.setSelectionRange(start, end);
    document.execCommand("insertText", false, text);
    if (!hadFocus && isTouch()) textarea.blur();
    textarea.inputMode = "";
    this.reveal(start + text.length);
  }

  /** @param {"undo" | "redo"} command */
  undoOrRedo(command) {
    this.textarea.focus();
    document.execCommand(command);
  }

  /** Put the caret at a place of the text and scroll to it. */
  select(place) {
    this.textarea.setSelectionRange(place, place);
    this.reveal(place);
  }

  /** Return the place of the clicked character; null beside the text or if text is selected. */
  findCharacter({ clientX, clientY, detail }) {
    const { selectionStart, selectionEnd } = this.textarea;
    if (selectionStart !== selectionEnd || detail > 1 || this.isPlain) return null;
    for (const place of [selectionEnd, selectionEnd - 1]) {
      if (place < 0 || place >= this.draft.text.length) continue;
      const { left, right, top, bottom } = this.findBox(place);
      const isInside = left <= clientX && clientX <= right && top <= clientY && clientY <= bottom;
      if (isInside) return place;
    }
    return null;
  }

  reveal(place) {
    if (!this.isPlain) {
      this.#moveTo(this.probe, place);
      this.probe.scrollIntoView({ block: "nearest" });
    } else if (document.activeElement === this.textarea) { // a focus scrolls to the caret
      this.textarea.blur();
      this.textarea.focus();
    }
  }

  /** Return the box of a character; of the whole text if the draft is too long for the mirror. */
  findBox(place) {
    return this.isPlain ? this.textarea.getBoundingClientRect() : this.mirror.findBox(place);
  }

  /** Show the marker at a place, or hide it (null). */
  showMarker(place) {
    this.marker.hidden = place === null || this.isPlain;
    if (!this.marker.hidden) this.#moveTo(this.marker, place);
  }

  #showChange(start, removed, inserted) {
    const { text } = this.draft;
    const wasPlain = this.isPlain;
    this.isPlain = text.length > LONGEST;
    this.sheet.classList.toggle("plain", this.isPlain);
    if (!this.isPlain && !wasPlain) this.mirror.replace(start, removed, inserted);
    else if (!this.isPlain) this.mirror.replace(0, 0, text);
    else if (!wasPlain) this.mirror.replace(0, text.length - inserted.length + removed, "");
  }

  #moveTo(element, place) {
    const { left, top, height } = this.findBox(place);
    const origin = this.mirror.element.getBoundingClientRect();
    element.style.left = `${left - origin.left}px`;
    element.style.top = `${top - origin.top}px`;
    element.style.height = `${height}px`;
  }
}

/** The text area, and its mirror behind it. */

import { findChange } from "./draft.js";
import { Mirror } from "./mirror.js";

const LONGEST = 50_000; // characters; a longer draft is a plain text field, without its mirror

export const isTouch = () => matchMedia("(pointer: coarse)").matches;

export class Editor {
  /**
   * @param {HTMLElement} sheet  Holds `textarea` and `.mirror`.
   * @param {import("./draft.js").Draft} draft
   */
  constructor(sheet, draft) {
    this.sheet = sheet;
    this.draft = draft;
    this.isPlain = false; // whether the draft is too long for its mirror
    this.textarea = sheet.querySelector("textarea");
    this.mirror = new Mirror(sheet.querySelector(".mirror"));
    this.textarea.addEventListener("input", () =>
      draft.replace(...findChange(draft.text, this.textarea.value, this.caret)));
    draft.onChange((...change) => this.#showChange(...change));
    window.addEventListener("beforeprint", () => this.isPlain && this.mirror.show(draft.text));
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
    this.textarea.setSelectionRange(caret, caret);
    this.reveal();
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
    this.reveal();
  }

  /** @param {"undo" | "redo"} command */
  undoOrRedo(command) {
    this.textarea.focus();
    document.execCommand(command);
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

  /** Scroll to the caret, as a focus does. */
  reveal() {
    if (document.activeElement !== this.textarea) return;
    this.textarea.blur();
    this.textarea.focus();
  }

  /** Return the box of a character; of the whole text if the draft is too long for the mirror. */
  findBox(place) {
    return this.isPlain ? this.textarea.getBoundingClientRect() : this.mirror.findBox(place);
  }

  #showChange(start, removed, inserted) {
    const { text } = this.draft;
    const wasPlain = this.isPlain;
    this.isPlain = text.length > LONGEST;
    this.sheet.classList.toggle("plain", this.isPlain);
    if (this.isPlain || wasPlain) this.mirror.show(this.isPlain ? "" : text);
    else this.mirror.replace(start, removed, inserted);
  }
}

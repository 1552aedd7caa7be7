/**
 * A copy of the text behind the text area, in the same type. It shows the tints and underlines,
 * because the text in a text area cannot have them, and it gives both elements their height.
 */

import { makeRange } from "./marks.js";

export class Mirror {
  /** @param {HTMLElement} element */
  constructor(element) {
    // Without a last character, an empty last line would have no height.
    this.node = element.appendChild(document.createTextNode("\u200b"));
  }

  /** Show another text. */
  show(text) {
    this.node.data = `${text}\u200b`;
  }

  /** Replace a part of the text. */
  replace(start, removed, inserted) {
    this.node.replaceData(start, removed, inserted);
  }

  /** Return the box of the character after a place of the text. */
  findBox(place) {
    const range = makeRange(this.node, place, place + 1);
    return range.getClientRects()[0] ?? range.getBoundingClientRect();
  }
}

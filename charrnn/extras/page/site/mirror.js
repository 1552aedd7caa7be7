/**
 * The text once more, behind the text area and in the same type, where it is tinted and underlined,
 * which a text area's own text cannot be. It also gives both their height.
 *
 * Each line is a text node of its own, so that a change costs as much as the lines that it changes.
 */

import { paint, unpaint } from "./tint.js";

export class Mirror {
  /** @param {HTMLElement} element @param {import("./draft.js").Draft} draft */
  constructor(element, draft) {
    this.element = element;
    this.draft = draft;
    this.lines = []; // text nodes, each but the last with the line break at its end
    // A last line that is empty has no height without something on it.
    this.end = element.appendChild(document.createTextNode("\u200b"));
  }

  /** Follow a change of the draft, as it tells it. */
  replace(start, removed, inserted) {
    const from = this.#find(start);
    const to = this.#find(start + removed);
    const head = this.lines[from.index]?.data.slice(0, from.offset) ?? "";
    let text = head + inserted + (this.lines[to.index]?.data.slice(to.offset) ?? "");
    let count = to.index - from.index + 1;
    const next = this.lines[to.index + 1];
    if (next && !text.endsWith("\n")) { // the line break before it was removed
      text += next.data;
      count++;
    }
    const texts = text.split(/(?<=\n)/).filter(Boolean);
    const lines = texts.map((line) => document.createTextNode(line));
    const after = this.lines[from.index + count] ?? this.end;
    for (const node of this.lines.splice(from.index, count, ...lines)) {
      unpaint(node);
      node.remove();
    }
    after.before(...lines);
    let begin = start - head.length;
    for (const node of lines) {
      this.#paint(node, begin);
      begin += node.length;
    }
  }

  /** Show what was found about the units from `start` to `end`. */
  repaint(start, end) {
    let begin = 0;
    for (const node of this.lines) {
      if (begin < end && begin + node.length > start) this.#paint(node, begin);
      begin += node.length;
    }
  }

  /** A rectangle whose left edge is at a place of the text: that of the character after it. */
  rectangle(place) {
    const { index, offset } = this.#find(place);
    const line = this.lines[index];
    const [node, at] = line && offset < line.length ? [line, offset] : [this.end, 0];
    const range = document.createRange();
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    return range.getClientRects()[0] ?? range.getBoundingClientRect();
  }

  #paint(node, begin) {
    const { bits, copied } = this.draft.marks(begin, begin + node.length);
    paint(node, bits, copied);
  }

  /** The line in which a place is, and the place in it; behind a last line break, no line. */
  #find(place) {
    let offset = place;
    for (const [index, { data, length }] of this.lines.entries()) {
      if (offset < length || (offset === length && !data.endsWith("\n"))) return { index, offset };
      offset -= length;
    }
    return { index: this.lines.length, offset };
  }
}

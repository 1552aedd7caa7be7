/**
 * A copy of the text behind the text area, in the same type. It shows the tints and underlines,
 * because the text in a text area cannot have them, and it gives both elements their height.
 *
 * Each line is a separate text node, so that a change costs as much as the lines that it changes.
 * Some lines together are a block, because a browser lays out the whole block of a changed line.
 */

import { paint, unpaint } from "./tint.js";

const LONGEST_BLOCK = 16; // lines

export class Mirror {
  /** @param {HTMLElement} element @param {import("./draft.js").Draft} draft */
  constructor(element, draft) {
    this.element = element;
    this.draft = draft;
    this.lines = []; // text nodes; all except the last end with a line break
    // Without a character an empty last line would have no height.
    this.end = document.createTextNode("\u200b");
    element.appendChild(document.createElement("div")).append(this.end);
  }

  /** Apply a change of the draft; see `Draft.onChange`. */
  replace(start, removed, inserted) {
    const from = this.#findLine(start);
    const to = this.#findLine(start + removed);
    const head = this.lines[from.index]?.data.slice(0, from.offset) ?? "";
    let text = head + inserted + (this.lines[to.index]?.data.slice(to.offset) ?? "");
    let count = to.index - from.index + 1;
    const next = this.lines[to.index + 1];
    if (next && !text.endsWith("\n")) { // the line break before `next` was removed
      text += next.data;
      count++;
    }
    const texts = text.split(/(?<=\n)/).filter(Boolean);
    const lines = texts.map((line) => document.createTextNode(line));
    const after = this.lines[from.index + count] ?? this.end;
    after.before(...lines);
    for (const node of this.lines.splice(from.index, count, ...lines)) {
      const block = node.parentNode;
      unpaint(node);
      node.remove();
      if (!block.hasChildNodes()) block.remove();
    }
    splitBlock(after.parentNode);
    let lineStart = start - head.length;
    for (const node of lines) {
      this.#paint(node, lineStart);
      lineStart += node.length;
    }
  }

  /** Update the marks of the units from `start` to `end`. */
  repaint(start, end) {
    let lineStart = 0;
    for (const node of this.lines) {
      if (lineStart < end && lineStart + node.length > start) this.#paint(node, lineStart);
      lineStart += node.length;
    }
  }

  /** Return the box of the character after a place of the text. */
  findBox(place) {
    const { index, offset } = this.#findLine(place);
    const line = this.lines[index];
    const [node, first] = line && offset < line.length ? [line, offset] : [this.end, 0];
    const range = document.createRange();
    range.setStart(node, first);
    range.setEnd(node, first + 1);
    return range.getClientRects()[0] ?? range.getBoundingClientRect();
  }

  #paint(node, start) {
    const end = start + node.length;
    paint(node, this.draft.copied.subarray(start, end), this.draft.bits.subarray(start, end));
  }

  /** Return the line of a place and the offset in it; after the last line break, no line. */
  #findLine(place) {
    let offset = place;
    for (const [index, { data, length }] of this.lines.entries()) {
      if (offset < length || (offset === length && !data.endsWith("\n"))) return { index, offset };
      offset -= length;
    }
    return { index: this.lines.length, offset };
  }
}

/** Move lines of a long block into blocks before it. */
function splitBlock(block) {
  while (block.childNodes.length > LONGEST_BLOCK) {
    const first = document.createElement("div");
    block.before(first);
    while (first.childNodes.length < LONGEST_BLOCK) first.append(block.firstChild);
  }
}

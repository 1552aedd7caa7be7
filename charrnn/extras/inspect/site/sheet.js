/**
 * The passage: a text area, and behind it a mirror, a copy of the text with tinted characters.
 *
 * Only visible lines are tinted, so that a change costs the same in a long text as in a short one.
 * Both elements have the same fixed-width font, so their lines break at the same places.
 *
 * An offset is a number of code units in the text.
 */

const MARGIN = 3; // lines above and below the visible ones that are tinted, too
const LONG = 600; // code units; longer lines are tinted in part

export class Sheet {
  /** @param {HTMLElement} element  Has `textarea`, `.mirror` and `.marker`; it scrolls. */
  constructor(element) {
    this.element = element;
    this.textarea = element.querySelector("textarea");
    this.mirror = element.querySelector(".mirror");
    this.marker = element.querySelector(".marker");
    this.lines = []; // {text, start, element}
  }

  /** Show a text. */
  update(text) {
    if (text !== this.textarea.value) this.textarea.value = text;
    const texts = text.split(/(?<=\n)/);
    if (text === "" || text.endsWith("\n")) texts.push("");
    const { lines } = this;
    const shorter = Math.min(texts.length, lines.length);
    let head = 0;
    while (head < shorter && lines[head].text === texts[head]) head++;
    let tail = 0;
    while (tail < shorter - head && lines.at(-1 - tail).text === texts.at(-1 - tail)) tail++;
    const added = texts.slice(head, texts.length - tail).map(createLine);
    const removed = lines.splice(head, lines.length - head - tail, ...added);
    for (const { element } of removed) element.remove();
    const next = lines[head + added.length]?.element ?? null;
    for (const { element } of added) this.mirror.insertBefore(element, next);
    let start = 0;
    for (const line of lines) {
      line.start = start;
      start += line.text.length;
    }
  }

  /** The visible range of the text, as [start, end]. */
  get visibleRange() {
    const parts = this.#findVisibleParts();
    const last = parts.at(-1);
    return parts.length ? [parts[0].line.start + parts[0].from, last.line.start + last.to] : [0, 0];
  }

  /** Tint the visible text. @param {(offset: number) => string} chooseClass */
  paint(chooseClass) {
    for (const { line, from, to } of this.#findVisibleParts()) {
      const { text, start, element } = line;
      const length = lengthWithoutBreak(text);
      const nodes = from > 0 ? [createRun(text.slice(0, from), "")] : [];
      let position = from;
      while (position < Math.min(to, length)) {
        const name = chooseClass(start + position);
        let end = position + 1;
        while (end < Math.min(to, length) && chooseClass(start + end) === name) end++;
        nodes.push(createRun(text.slice(position, end), name));
        position = end;
      }
      const rest = text.slice(position, length);
      if (rest || !length) nodes.push(createRun(giveHeight(rest), ""));
      if (length < text.length) nodes.push(createLineBreak(chooseClass(start + length)));
      element.replaceChildren(...nodes);
    }
  }

  /** Return the offset at a point of the window; null if no line is there. */
  findOffset(x, y) {
    const line = this.lines[this.#findLineAt(y)];
    if (!line) return null;
    let [low, high] = [0, line.text.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      const box = findBox(line.element, middle);
      if (box.bottom <= y || (box.top <= y && box.right <= x)) low = middle + 1;
      else high = middle;
    }
    return Math.min(line.start + Math.max(low, 0), this.textarea.value.length);
  }

  /** Frame the character at an offset. */
  frame(offset) {
    const line = this.lines[bisect(this.lines.length, (i) => this.lines[i].start > offset) - 1];
    this.marker.hidden = !line || offset - line.start >= line.text.length;
    if (this.marker.hidden) return;
    const box = findBox(line.element, offset - line.start);
    const origin = this.mirror.getBoundingClientRect();
    this.marker.style.left = `${box.left - origin.left}px`;
    this.marker.style.top = `${box.top - origin.top}px`;
    this.marker.style.width = `${Math.max(box.width, 3)}px`;
    this.marker.style.height = `${box.height}px`;
  }

  #findLineAt(y) {
    const isBelow = (i) => this.lines[i].element.getBoundingClientRect().top > y;
    return Math.max(0, bisect(this.lines.length, isBelow) - 1);
  }

  #findVisibleParts() {
    const view = this.element.getBoundingClientRect();
    const first = Math.max(0, this.#findLineAt(view.top) - MARGIN);
    const last = Math.min(this.lines.length - 1, this.#findLineAt(view.bottom) + MARGIN);
    return this.lines.slice(first, last + 1).map((line) => {
      const { length } = line.text;
      if (length < LONG) return { line, from: 0, to: length };
      const { top, height } = line.element.getBoundingClientRect();
      const estimate = (y) => Math.round((length * (y - top)) / height);
      const from = Math.max(0, estimate(view.top) - LONG / 2);
      const to = Math.min(length, estimate(view.bottom) + LONG / 2);
      return { line, from, to: Math.max(from, to) };
    });
  }
}

function createLine(text) {
  const element = document.createElement("div");
  element.append(giveHeight(text.slice(0, lengthWithoutBreak(text))));
  if (text.endsWith("\n")) element.append(createLineBreak(""));
  return { text, start: 0, element };
}

const lengthWithoutBreak = (text) => text.length - text.endsWith("\n");

/** Return a text, or an invisible character, because an empty line has no height. */
const giveHeight = (text) => text || "\u200b";

/** Create the box that shows the tint of a line break. */
function createLineBreak(name) {
  const box = document.createElement("i");
  box.className = name;
  return box;
}

function createRun(text, name) {
  if (!name) return document.createTextNode(text);
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

/** Return the number of code units in a node, without the character of `giveHeight`. */
const countUnits = (node) => (node.textContent === "\u200b" ? 0 : node.textContent.length);

/** Return the box of the character at an offset in a line. */
function findBox(element, offset) {
  offset = Math.max(0, offset);
  let node = element.firstChild;
  for (; node.nextSibling && offset >= countUnits(node); node = node.nextSibling) {
    offset -= countUnits(node);
  }
  if (node.nodeName === "I") return node.getBoundingClientRect();
  const text = node.firstChild ?? node;
  const range = document.createRange();
  range.setStart(text, Math.min(offset, text.length));
  range.setEnd(text, Math.min(offset + 1, text.length));
  return range.getClientRects()[0] ?? range.getBoundingClientRect();
}

/** Return the first of the numbers below `count` for which `passes` is true, or `count`. */
export function bisect(count, passes) {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (passes(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

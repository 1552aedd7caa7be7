/**
 * The passage: a text area, and behind it the same text once more, whose characters are tinted.
 *
 * Only the lines in view are tinted, so that a change costs the same in a long text as in a short
 * one. Both have the same type with letters of one width, so they break their lines alike.
 */

const MARGIN = 3; // lines above and below those in view that are tinted, too
const LONG = 600; // units from which on a line is tinted in part only

export class Sheet {
  /** @param {HTMLElement} element  Holds `textarea`, `.mirror` and `.marker`; it scrolls. */
  constructor(element) {
    this.element = element;
    this.textarea = element.querySelector("textarea");
    this.mirror = element.querySelector(".mirror");
    this.marker = element.querySelector(".marker");
    this.lines = []; // {text, start, element}
  }

  get text() {
    return this.textarea.value;
  }

  /** Show a text. */
  update(text) {
    if (text !== this.text) this.textarea.value = text;
    const texts = text.split(/(?<=\n)/);
    if (text === "" || text.endsWith("\n")) texts.push("");
    const before = this.lines;
    const most = Math.min(texts.length, before.length);
    let head = 0;
    while (head < most && before[head].text === texts[head]) head++;
    let tail = 0;
    while (tail < most - head && before.at(-1 - tail).text === texts.at(-1 - tail)) tail++;
    const made = texts.slice(head, texts.length - tail).map(lineOf);
    const removed = before.splice(head, before.length - head - tail, ...made);
    for (const { element } of removed) element.remove();
    const next = before[head + made.length]?.element ?? null;
    for (const { element } of made) this.mirror.insertBefore(element, next);
    let start = 0;
    for (const line of before) {
      line.start = start;
      start += line.text.length;
    }
  }

  /** The units of the text that are in view, as [start, end]. */
  get inView() {
    const parts = this.#partsInView();
    const last = parts.at(-1);
    return parts.length ? [parts[0].line.start + parts[0].from, last.line.start + last.to] : [0, 0];
  }

  /** Tint what is in view. @param {(unit: number) => string} classOf */
  paint(classOf) {
    for (const { line, from, to } of this.#partsInView()) {
      const { text, start, element } = line;
      const length = lengthOf(text);
      const nodes = [];
      const add = (end, name) => nodes.push(run(text.slice(at, end), name));
      let at = 0;
      if (from > 0) add(from, "");
      for (at = from; at < Math.min(to, length);) {
        const name = classOf(start + at);
        let end = at + 1;
        while (end < Math.min(to, length) && classOf(start + end) === name) end++;
        add(end, name);
        at = end;
      }
      if (at < length || !length) nodes.push(run(visible(text.slice(at, length)), ""));
      if (length < text.length) nodes.push(lineBreak(classOf(start + length)));
      element.replaceChildren(...nodes);
    }
  }

  /** The unit of the text at a point of the window; null where there is none. */
  unitAt(x, y) {
    const line = this.lines[this.#lineAt(y)];
    if (!line) return null;
    let [low, high] = [0, line.text.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      const box = boxOf(line.element, middle);
      if (box.bottom <= y || (box.top <= y && box.right <= x)) low = middle + 1;
      else high = middle;
    }
    return Math.min(line.start + Math.max(low, 0), this.text.length);
  }

  /** Frame the unit of the text at a place. */
  mark(unit) {
    const line = this.#lineOf(unit);
    this.marker.hidden = !line || unit - line.start >= line.text.length;
    if (this.marker.hidden) return;
    const box = boxOf(line.element, unit - line.start);
    const origin = this.mirror.getBoundingClientRect();
    this.marker.style.left = `${box.left - origin.left}px`;
    this.marker.style.top = `${box.top - origin.top}px`;
    this.marker.style.width = `${Math.max(box.width, 3)}px`;
    this.marker.style.height = `${box.height}px`;
  }

  #lineOf(unit) {
    return this.lines[firstFrom(this.lines.length, (i) => this.lines[i].start > unit) - 1];
  }

  #lineAt(y) {
    const after = (i) => this.lines[i].element.getBoundingClientRect().top > y;
    return Math.max(0, firstFrom(this.lines.length, after) - 1);
  }

  #partsInView() {
    const view = this.element.getBoundingClientRect();
    const first = Math.max(0, this.#lineAt(view.top) - MARGIN);
    const last = Math.min(this.lines.length - 1, this.#lineAt(view.bottom) + MARGIN);
    return this.lines.slice(first, last + 1).map((line) => {
      const { length } = line.text;
      if (length < LONG) return { line, from: 0, to: length };
      const { top, height } = line.element.getBoundingClientRect();
      const at = (y) => Math.round((length * (y - top)) / height);
      const from = Math.max(0, at(view.top) - LONG / 2);
      return { line, from, to: Math.max(from, Math.min(length, at(view.bottom) + LONG / 2)) };
    });
  }
}

function lineOf(text) {
  const element = document.createElement("div");
  element.append(visible(text.slice(0, lengthOf(text))));
  if (text.endsWith("\n")) element.append(lineBreak(""));
  return { text, start: 0, element };
}

/** The units of a line without its line break. */
const lengthOf = (text) => text.length - text.endsWith("\n");

/** A line that is empty has no height without something on it. */
const visible = (text) => text || "\u200b";

/** What stands for a line break, which takes no room. */
function lineBreak(name) {
  const sign = document.createElement("i");
  sign.className = name;
  return sign;
}

function run(text, name) {
  if (!name) return document.createTextNode(text);
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

/** How many units of the text a node has: a sign that gives height is none. */
const lengthIn = (node) => (node.textContent === "\u200b" ? 0 : node.textContent.length);

/** Where the unit of an element's text is on the screen. */
function boxOf(element, unit) {
  let offset = Math.max(0, unit);
  let node = element.firstChild;
  for (; node.nextSibling && offset >= lengthIn(node); node = node.nextSibling) {
    offset -= lengthIn(node);
  }
  if (node.nodeName === "I") return node.getBoundingClientRect();
  const text = node.firstChild ?? node;
  const range = document.createRange();
  range.setStart(text, Math.min(offset, text.length));
  range.setEnd(text, Math.min(offset + 1, text.length));
  return range.getClientRects()[0] ?? range.getBoundingClientRect();
}

/** The first of so many numbers from 0 on of which something holds, as it does of all after it. */
export function firstFrom(count, holds) {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The text on the page, the marks of its characters, and its history. Places count code units. */

const LONGEST_HISTORY = 5000; // changes

/** A piece of text with the surprise of each code unit, in bits; NaN for typed text. */
export class Passage {
  /** @param {string} text @param {Float32Array} [bits] */
  constructor(text, bits = new Float32Array(text.length).fill(NaN)) {
    this.text = text;
    this.bits = bits;
  }

  /** @param {import("./writer.js").Character[]} characters */
  static fromCharacters(characters) {
    // A text area drops carriage returns, so they would shift the places after them.
    const kept = characters.filter(({ text }) => text !== "\r");
    const bits = kept.flatMap(({ text, logprob }) => Array(text.length).fill(-logprob / Math.LN2));
    return new Passage(kept.map(({ text }) => text).join(""), Float32Array.from(bits));
  }

  get length() {
    return this.text.length;
  }

  slice(start, end) {
    return new Passage(this.text.slice(start, end), this.bits.slice(start, end));
  }

  /** Return a copy in which another passage replaces the units from `start` to `end`. */
  replace(start, end, passage) {
    return new Passage(
      this.text.slice(0, start) + passage.text + this.text.slice(end),
      spliceArray(this.bits, start, end, passage.bits),
    );
  }

  append(passage) {
    return this.replace(this.length, this.length, passage);
  }
}

/** A passage that reports each change to its listeners, with undo and redo. */
export class Draft {
  constructor() {
    this.passage = new Passage("");
    this.readFirst = ""; // the text that the model reads before the draft; it has no history
    // These marks are computed again after changes, so the history does not contain them:
    this.copied = new Uint8Array(0); // 1 if the unit is part of a copy of the training text
    this.typedBits = new Float32Array(0); // the surprise of typed units, NaN if it is unknown
    this.undoStack = [];
    this.redoStack = [];
    this.listeners = [];
  }

  get text() {
    return this.passage.text;
  }

  /** Return the marks of the units from `start` to `end`: their `bits`, and whether `copied`. */
  getMarks(start, end) {
    const bits = this.passage.bits.slice(start, end);
    bits.forEach((value, i) => {
      if (isNaN(value)) bits[i] = this.typedBits[start + i];
    });
    return { bits, copied: this.copied.subarray(start, end) };
  }

  /** Call `listener(start, removedLength, insertedText)` after each change. */
  onChange(listener) {
    this.listeners.push(listener);
  }

  /**
   * Replace the units from `start` to `end`.
   *
   * @param {unknown} step  Successive changes with the same step are undone together.
   */
  replace(start, end, passage, step = {}) {
    if (start === end && passage.length === 0) return;
    const removed = this.passage.slice(start, end);
    this.undoStack.push({ start, removed, inserted: passage, step });
    if (this.undoStack.length > LONGEST_HISTORY) this.undoStack.shift();
    this.redoStack = [];
    this.#apply(start, end, passage);
  }

  /** Replace the whole text by another draft, without history. */
  reset(passage) {
    this.#apply(0, this.text.length, passage);
    this.undoStack = [];
    this.redoStack = [];
  }

  /** Undo the last step. Return {step, place}: the step, if there was one, and where it was. */
  undo() {
    return this.#move(this.undoStack, this.redoStack, "inserted", "removed");
  }

  /** Redo the step that was undone last, and return the same as `undo`. */
  redo() {
    return this.#move(this.redoStack, this.undoStack, "removed", "inserted");
  }

  /** Move the changes of one step to the other stack, and replace `old` by `other` in the text. */
  #move(from, to, old, other) {
    const step = from.at(-1)?.step;
    let place = 0;
    while (from.length && from.at(-1).step === step) {
      const change = from.pop();
      to.push(change);
      this.#apply(change.start, change.start + change[old].length, change[other]);
      place = change.start + change[other].length;
    }
    return { step, place };
  }

  #apply(start, end, passage) {
    const unknown = new Float32Array(passage.length).fill(NaN);
    this.passage = this.passage.replace(start, end, passage);
    this.copied = spliceArray(this.copied, start, end, new Uint8Array(passage.length));
    this.typedBits = spliceArray(this.typedBits, start, end, unknown);
    for (const listener of this.listeners) listener(start, end - start, passage.text);
  }
}

/** Return a place of a text after a change before, at or around it. */
export function movePlace(place, start, removedLength, insertedText) {
  if (place < start) return place;
  return Math.max(place - removedLength, start) + insertedText.length;
}

/**
 * Return the change that turns `before` into `after`, as [start, end, inserted].
 *
 * @param {number} caret  The caret after the change. The text after it did not change, which tells
 *   which of several equal letters was typed.
 */
export function findChange(before, after, caret) {
  const shorter = Math.min(before.length, after.length);
  const tail = countEqual(Math.min(shorter, after.length - caret), (from, to) =>
    before.slice(before.length - to, before.length - from)
      === after.slice(after.length - to, after.length - from));
  const start = countEqual(shorter - tail, (from, to) =>
    before.slice(from, to) === after.slice(from, to));
  return [start, before.length - tail, after.slice(start, after.length - tail)];
}

/** Return the largest number, at most `most`, up to which all parts are equal. */
function countEqual(most, isEqual) {
  let count = 0;
  // Browsers compare strings much faster than a loop over their units.
  for (let size = most; size >= 1; size = Math.floor(size / 2)) {
    while (count + size <= most && isEqual(count, count + size)) count += size;
  }
  return count;
}

/** Return a copy of a typed array with the part from `start` to `end` replaced. */
function spliceArray(array, start, end, inserted) {
  const result = new array.constructor(array.length - (end - start) + inserted.length);
  result.set(array.subarray(0, start));
  result.set(inserted, start);
  result.set(array.subarray(end), start + inserted.length);
  return result;
}

/** The text that is being written, what is known of its characters, and its history. */

const LONGEST_HISTORY = 5000; // changes

/** A piece of text with the surprise of each of its code units, in bits; NaN where one typed. */
export class Passage {
  /** @param {string} text @param {Float32Array} [bits] */
  constructor(text, bits = new Float32Array(text.length).fill(NaN)) {
    this.text = text;
    this.bits = bits;
  }

  /** @param {import("./writer.js").Character[]} characters */
  static written(characters) {
    // A text area has no carriage returns: with them, places in it would not be those in the text.
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

  /** This passage with the units from `start` to `end` replaced by another passage. */
  replaced(start, end, passage) {
    return new Passage(
      this.text.slice(0, start) + passage.text + this.text.slice(end),
      spliced(this.bits, start, end, passage.bits),
    );
  }
}

/** A passage that tells its listeners of each change and takes changes back. */
export class Draft {
  constructor() {
    this.passage = new Passage("");
    // What is found about each unit from time to time, and therefore not in the history:
    this.copied = new Uint8Array(0); // one if it stands in the training text
    this.scored = new Float32Array(0); // its surprise if it was typed, NaN if that is not known
    this.done = [];
    this.undone = [];
    this.listeners = [];
  }

  get text() {
    return this.passage.text;
  }

  /** What is known of the units from `start` to `end`: their `bits`, and ones where `copied`. */
  marks(start, end) {
    const bits = this.passage.bits.slice(start, end);
    bits.forEach((value, i) => {
      if (isNaN(value)) bits[i] = this.scored[start + i];
    });
    return { bits, copied: this.copied.subarray(start, end) };
  }

  /** Calls `listener(start, removedLength, insertedText)` after each change. */
  onChange(listener) {
    this.listeners.push(listener);
  }

  /**
   * Replace the units from `start` to `end`.
   *
   * @param {unknown} step  Changes in a row that name the same step are undone together.
   */
  replace(start, end, passage, step = {}) {
    if (start === end && passage.length === 0) return;
    this.done.push({ start, removed: this.passage.slice(start, end), inserted: passage, step });
    if (this.done.length > LONGEST_HISTORY) this.done.shift();
    this.undone = [];
    this.#apply(start, end, passage);
  }

  /** Take the last step back. Returns it and the place where it was; no step if there was none. */
  undo() {
    return this.#travel(this.done, this.undone, (change) => {
      this.#apply(change.start, change.start + change.inserted.length, change.removed);
      return change.start + change.removed.length;
    });
  }

  /** Do the step again that was taken back last; returns as `undo`. */
  redo() {
    return this.#travel(this.undone, this.done, (change) => {
      this.#apply(change.start, change.start + change.removed.length, change.inserted);
      return change.start + change.inserted.length;
    });
  }

  #travel(from, to, apply) {
    const step = from.at(-1)?.step;
    let place = 0;
    while (from.length && from.at(-1).step === step) {
      const change = from.pop();
      to.push(change);
      place = apply(change);
    }
    return { step, place };
  }

  #apply(start, end, passage) {
    this.passage = this.passage.replaced(start, end, passage);
    this.copied = spliced(this.copied, start, end, new Uint8Array(passage.length));
    this.scored = spliced(this.scored, start, end, new Float32Array(passage.length).fill(NaN));
    for (const listener of this.listeners) listener(start, end - start, passage.text);
  }
}

/** Where a place in a text is after a change before, at or around it. */
export function movedBy(place, start, removedLength, insertedText) {
  if (place < start) return place;
  return Math.max(place - removedLength, start) + insertedText.length;
}

/**
 * The one change that makes `after` of `before`, as [start, end, inserted].
 *
 * @param {number} caret  Where the caret stands after it: what follows the caret did not change,
 *   which says which of several equal letters was typed.
 */
export function difference(before, after, caret) {
  const shorter = Math.min(before.length, after.length);
  let same = 0;
  const most = Math.min(shorter, after.length - caret);
  while (same < most && before.at(-1 - same) === after.at(-1 - same)) same++;
  let start = 0;
  while (start < shorter - same && before[start] === after[start]) start++;
  return [start, before.length - same, after.slice(start, after.length - same)];
}

/** An array with the part from `start` to `end` replaced. */
export function spliced(array, start, end, inserted) {
  const result = new array.constructor(array.length - (end - start) + inserted.length);
  result.set(array.subarray(0, start));
  result.set(inserted, start);
  result.set(array.subarray(end), start + inserted.length);
  return result;
}

/** The text on the page and the marks of its characters. Places count code units. */

export class Draft {
  constructor() {
    this.text = "";
    this.copied = new Uint8Array(0); // 1 if the unit is part of a copy of the training text
    this.bits = new Float32Array(0); // the surprise of each unit; NaN if it is unknown
    this.listeners = [];
  }

  /** Call `listener(start, removedLength, insertedText)` after each change. */
  onChange(listener) {
    this.listeners.push(listener);
  }

  /** Replace the units from `start` to `end`. */
  replace(start, end, inserted) {
    const { length } = inserted;
    this.text = this.text.slice(0, start) + inserted + this.text.slice(end);
    this.copied = spliceArray(this.copied, start, end, new Uint8Array(length));
    this.bits = spliceArray(this.bits, start, end, new Float32Array(length).fill(NaN));
    for (const listener of this.listeners) listener(start, end - start, inserted);
  }
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

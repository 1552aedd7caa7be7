/** The text on the page. Places count code units. */

export class Draft {
  constructor() {
    this.text = "";
    this.listeners = [];
  }

  /** Call `listener(start, removedLength, insertedText)` after each change. */
  onChange(listener) {
    this.listeners.push(listener);
  }

  /** Replace the units from `start` to `end`. */
  replace(start, end, inserted) {
    this.text = this.text.slice(0, start) + inserted + this.text.slice(end);
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
  const mostAfter = Math.min(shorter, after.length - caret);
  let tail = 0;
  while (tail < mostAfter && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  let start = 0;
  while (start < shorter - tail && before[start] === after[start]) start++;
  return [start, before.length - tail, after.slice(start, after.length - tail)];
}

/** Return the first words of a text as its title; "" if it is empty. */
export function getTitle(text) {
  const [line] = text.trim().split("\n", 1);
  return (line.match(/^.{1,30}(?!\S)|^.{1,30}/u)?.[0] ?? "").trim();
}

/**
 * Mark parts of texts by CSS highlights, whose ranges follow the changes of their text nodes. No
 * text becomes markup. A browser without highlights shows plain text.
 */

/**
 * Mark ranges by a highlight, instead of those that it marks.
 *
 * @param {string} name  In style.css.
 * @param {[Text, number, number][]} places  Text nodes, each with a start and an end.
 */
export function mark(name, places) {
  if (typeof Highlight === "undefined") return;
  const ranges = places.map((place) => makeRange(...place));
  CSS.highlights.set(name, new Highlight(...ranges));
}

/** Return the range of a text node from a start to an end. */
export function makeRange(node, start, end) {
  const range = document.createRange();
  range.setStart(node, start);
  range.setEnd(node, end);
  return range;
}

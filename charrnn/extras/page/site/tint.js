/**
 * Tint and underline text by CSS highlights. The text remains one text node, so that nothing in it
 * can become markup. A browser without highlights shows plain text.
 */

const THRESHOLDS = [2, 3.5, 5, 7, 10]; // the lowest surprise, in bits, of levels 1 to 5
const painted = new Map(); // text node -> its ranges, each with its highlight

/** Return the level of a surprise: 0 for expected characters, up to 5 for very surprising ones. */
function toLevel(bits) {
  return THRESHOLDS.filter((threshold) => bits >= threshold).length;
}

/**
 * Underline the copied units of a text node, and tint it by the surprise of its units.
 *
 * @param {Text} node
 * @param {Uint8Array} copied
 * @param {Float32Array} [bits]
 */
export function paint(node, copied, bits = new Float32Array(0)) {
  unpaint(node);
  if (typeof Highlight === "undefined") return;
  const ranges = [];
  const add = (name, startOffset, endOffset) => {
    const highlight = getHighlight(name);
    const ends = { startContainer: node, startOffset, endContainer: node, endOffset };
    const range = new StaticRange(ends);
    highlight.add(range);
    ranges.push({ highlight, range });
  };
  for (const [level, start, end] of splitRuns(bits, toLevel)) {
    if (level) add(`surprise-${level}`, start, end);
  }
  for (const [isCopied, start, end] of splitRuns(copied, Number)) {
    if (!isCopied) continue;
    // indentation and spaces at the end of a line are not underlined
    for (const { 0: text, index } of node.data.slice(start, end).matchAll(/\S(?:.*\S)?/g)) {
      add("copied", start + index, start + index + text.length);
    }
  }
  painted.set(node, ranges);
}

export function unpaint(node) {
  for (const { highlight, range } of painted.get(node) ?? []) highlight.delete(range);
  painted.delete(node);
}

function getHighlight(name) {
  if (!CSS.highlights.has(name)) CSS.highlights.set(name, new Highlight());
  return CSS.highlights.get(name);
}

/** Yield the runs of values that are equal after `convert`, as [converted, start, end]. */
function* splitRuns(array, convert) {
  let start = 0;
  for (let end = 1; end <= array.length; end++) {
    const converted = convert(array[start]);
    if (end < array.length && convert(array[end]) === converted) continue;
    yield [converted, start, end];
    start = end;
  }
}

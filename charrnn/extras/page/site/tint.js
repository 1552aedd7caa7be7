/**
 * Tints and underlines of text, by the browser's highlights: the text itself stays one plain node,
 * so that nothing in it can become markup. A browser without highlights shows plain text.
 */

const LEVELS = [2, 3.5, 5, 7, 10]; // bits from which on the first, second, ... tint is shown
const painted = new Map(); // text node -> its ranges, each with the highlight that it is in

/** 0 for what was expected, up to 5 for what was very surprising. */
export function levelOf(bits) {
  return LEVELS.filter((least) => bits >= least).length;
}

/**
 * Tint a text node by the surprise of its units and underline what is copied.
 *
 * @param {Text} node
 * @param {Float32Array} bits
 * @param {Uint8Array} copied
 */
export function paint(node, bits, copied) {
  unpaint(node);
  if (typeof Highlight === "undefined") return;
  const ranges = [];
  const add = (name, startOffset, endOffset) => {
    const highlight = highlightNamed(name);
    const ends = { startContainer: node, startOffset, endContainer: node, endOffset };
    const range = new StaticRange(ends);
    highlight.add(range);
    ranges.push({ highlight, range });
  };
  for (const [level, start, end] of runs(bits, levelOf)) {
    if (level) add(`surprise-${level}`, start, end);
  }
  for (const [is, start, end] of runs(copied, Number)) {
    if (!is) continue;
    // indentation and blanks at the end of a line are copied, too, but not worth a line
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

function highlightNamed(name) {
  if (!CSS.highlights.has(name)) CSS.highlights.set(name, new Highlight());
  return CSS.highlights.get(name);
}

/** Runs of equal `kind`, as [kind, start, end]. */
function* runs(array, kindOf) {
  let start = 0;
  for (let end = 1; end <= array.length; end++) {
    const kind = kindOf(array[start]);
    if (end < array.length && kindOf(array[end]) === kind) continue;
    yield [kind, start, end];
    start = end;
  }
}

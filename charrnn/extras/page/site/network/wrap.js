/** Recognize prose that is wrapped at a width, and join its lines, as charrnn/text/wrap.py does. */

import { countCharacters, isCode, takeHead } from "./text-kinds.js";

// as in charrnn/text/wrap.py, which describes them
const MIN_ENDS = 30;
const MIN_INSIDE = 0.4;
const MIN_GAPS = 4;
const MIN_AGREEING = 0.85;
const SLACK = 6;
const MAX_DIFFERENCE = 0.25;
const MAX_HIGH = 0.5;
const MIN_FULL = 0.5;

const MARKED = /^[-–—*+•>|#=~_]*$/u; // of items, quoted mail, tables and headings
const NUMBER = /^(?:\p{Nd}{1,3}[.)]|[\p{L}\p{N}_]\))$/u;
const WORD = /[\p{L}\p{N}_]+(?:-[\p{L}\p{N}_]+)*/gu;
const AFTER_HYPHEN = /(?<=[\p{L}\p{N}_]-) ([\p{L}\p{N}_]+)/gu; // as "oder" in "Haupt- oder Nebensatz"
const CUT_WORD = /(\p{L}+)-\n(\p{L}+)/gu;
const CLOSED_DASH = /(?<=[\p{L}\p{N}_])(--|—)\n/gu;
const ALNUM_END = /[\p{L}\p{N}]$/u;

/** Return whether a text is wrapped prose, by its first lines. */
export function isWrapped(text, constants) {
  const head = takeHead(text, constants.lists);
  const lines = head.split("\n").map((line) => line.trimEnd());
  const ends = findInnerEnds(lines);
  if (ends.size < Math.max(MIN_ENDS, MIN_INSIDE * lines.filter(Boolean).length)) return false;
  const aroundEnds = [];
  const insideLines = [];
  for (const i of ends.keys()) {
    const row = splitWords(lines[i]);
    aroundEnds.push([row.at(-1), splitWords(lines[i + 1])[0]]);
    for (let j = 1; j < row.length; j++) insideLines.push([row[j - 1], row[j]]);
  }
  const inside = measureGaps(insideLines);
  const atEnds = measureGaps(aroundEnds);
  return insideLines.length >= MIN_GAPS * ends.size
    && findWidth(ends.values()).agreeing >= MIN_AGREEING * ends.size
    && Math.abs(atEnds.signs - inside.signs) <= MAX_DIFFERENCE
    && Math.abs(atEnds.high - inside.high) <= MAX_DIFFERENCE
    && inside.high <= MAX_HIGH
    && !isCode(head, constants);
}

/** Join the lines of each paragraph most of whose lines are full. All other lines stay. */
export function joinLines(text) {
  const lines = text.split("\n");
  const bare = lines.map((line) => line.trimEnd());
  const ends = findInnerEnds(bare);
  const { width } = findWidth(ends.values());
  const isFull = (i) => width < ends.get(i).stop;
  const joinWord = makeWordJoin(text);
  const joined = [];
  let start = 0;
  for (const [end, line] of bare.entries()) {
    // a short line that ends a sentence ends its paragraph
    if (ends.has(end) && (isFull(end) || ALNUM_END.test(line) || /[,;—-]$/.test(line))) continue;
    let paragraph = [...bare.slice(start, end), lines[end]].join("\n");
    let full = 0;
    for (let i = start; i < end; i++) if (isFull(i)) full++;
    if (end > start && full >= MIN_FULL * (end - start)) {
      paragraph = paragraph.replace(CUT_WORD, joinWord).replace(CLOSED_DASH, "$1")
        .replaceAll("\n", " ");
    }
    joined.push(paragraph);
    start = end + 1;
  }
  return joined.join("\n");
}

/** Return a function that joins a cut word: without its hyphen if the text has it so more often. */
function makeWordJoin(text) {
  const counts = new Map();
  for (const [word] of text.toLowerCase().matchAll(WORD)) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const count = (word) => counts.get(word.toLowerCase()) ?? 0;
  const afterHyphen = new Set([...text.matchAll(AFTER_HYPHEN)].map(([, word]) => word));
  return (_, first, second) => {
    if (count(first + second) > count(`${first}-${second}`)) return first + second;
    return `${first}-${afterHyphen.has(second) ? " " : ""}${second}`;
  };
}

/**
 * Return the lines that may end inside a paragraph, with the widths from `start` to before `stop`
 * that agree with the end: the line has room in them, but not together with the next word.
 */
function findInnerEnds(lines) {
  const ends = new Map();
  for (let i = 0; i + 1 < lines.length; i++) {
    const [line, next] = [lines[i], lines[i + 1]];
    if (!line || !/^\S/.test(next)) continue;
    const word = next.match(/^[^ ]*/)[0];
    // A dash between words comes before a small letter, and the number of a date after a word.
    const isMarked = MARKED.test(word) && !/^\p{Ll}/u.test(next.slice(word.length + 1));
    if (isMarked || (NUMBER.test(word) && !ALNUM_END.test(line))) continue;
    const start = countCharacters(line);
    ends.set(i, { start, stop: start + 1 + countCharacters(word) + SLACK });
  }
  return ends;
}

/** Return the width with which most line ends agree, and their number. */
function findWidth(ends) {
  const changes = new Map();
  const change = (width, by) => changes.set(width, (changes.get(width) ?? 0) + by);
  for (const { start, stop } of ends) {
    change(start, 1);
    change(stop, -1);
  }
  const best = { width: 0, agreeing: 0 };
  let agreeing = 0;
  for (const [width, by] of [...changes].sort(([a], [b]) => a - b)) {
    agreeing += by;
    if (agreeing >= best.agreeing) Object.assign(best, { width, agreeing });
  }
  return best;
}

/** Return two fractions of gaps between words: after a sign, and before no small letter. */
function measureGaps(pairs) {
  const share = (isCounted) => pairs.filter(isCounted).length / Math.max(1, pairs.length);
  return {
    signs: share(([before]) => !ALNUM_END.test(before)),
    high: share(([, after]) => /^(?:\p{Lu}|\P{L})/u.test(after)),
  };
}

function splitWords(line) {
  return line.trim().split(/\s+/);
}

/** Recognize prose that is wrapped at a width, and join its lines, as charrnn/text/wrap.py does. */

import { countCharacters, isCode, takeHead } from "./text-kinds.js";

const MARKED = /^[-–—*+•>|#=~_]*$/u; // of items, quoted mail, tables and headings
const NUMBER = /^(?:\p{Nd}{1,3}[.)]|[\p{L}\p{N}_]\))$/u;
const WORD = /[\p{L}\p{N}_]+(?:-[\p{L}\p{N}_]+)*/gu;
const AFTER_HYPHEN = /(?<=[\p{L}\p{N}_]-) ([\p{L}\p{N}_]+)/gu; // as "oder" in "Haupt- oder Nebensatz"
const CUT_WORD = /(\p{L}+)-\n(\p{L}+)/gu;
const CLOSED_DASH = /(?<=[\p{L}\p{N}_])(--|—)\n/gu;
const ALNUM_END = /[\p{L}\p{N}]$/u;

/** Return whether a text is wrapped prose, by its first lines. */
export function isWrapped(text, constants) {
  const { min_ends, min_inside, min_gaps, min_agreeing, max_difference, max_high } = constants.wrap;
  const head = takeHead(text, constants.lists);
  const lines = head.split("\n").map((line) => line.trimEnd());
  const ends = findInnerEnds(lines, constants.wrap);
  if (ends.size < Math.max(min_ends, min_inside * lines.filter(Boolean).length)) return false;
  const rows = [...ends.keys()];
  const inside = measureGaps(rows.map((i) => lines[i]), /(\S)\s+(?=(\S))/gu);
  const atEnds = measureGaps(rows.map((i) => `${lines[i]}\n${lines[i + 1]}`), /(\S)\n(\S)/gu);
  return inside.number >= min_gaps * ends.size
    && findWidth(ends).agreeing >= min_agreeing * ends.size
    && Math.abs(atEnds.signs - inside.signs) <= max_difference
    && Math.abs(atEnds.high - inside.high) <= max_difference
    && inside.high <= max_high
    && !isCode(head, constants);
}

/** Join the lines of each paragraph most of whose lines are full. All other lines stay. */
export function joinLines(text, { wrap }) {
  const lines = text.split("\n");
  const bare = lines.map((line) => line.trimEnd());
  const ends = findInnerEnds(bare, wrap);
  const { width } = findWidth(ends);
  const joinWord = makeWordJoin(text);
  const joined = [];
  let [start, full] = [0, 0]; // of the present paragraph: its first line, and its full lines
  for (const [end, line] of bare.entries()) {
    const isFull = width < ends.get(end)?.stop;
    // a short line that ends a sentence ends its paragraph
    if (isFull || (ends.has(end) && (ALNUM_END.test(line) || /[,;—-]$/.test(line)))) {
      full += Number(isFull);
      continue;
    }
    let paragraph = [...bare.slice(start, end), lines[end]].join("\n");
    if (end > start && full >= wrap.min_full * (end - start)) {
      paragraph = paragraph.replace(CUT_WORD, joinWord).replace(CLOSED_DASH, "$1")
        .replaceAll("\n", " ");
    }
    joined.push(paragraph);
    [start, full] = [end + 1, 0];
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
function findInnerEnds(lines, { slack }) {
  const ends = new Map();
  for (let i = 0; i + 1 < lines.length; i++) {
    const [line, next] = [lines[i], lines[i + 1]];
    if (!line || !/^\S/.test(next)) continue;
    const word = next.match(/^[^ ]*/)[0];
    // A dash between words comes before a small letter, and the number of a date after a word.
    const isMarked = MARKED.test(word) && !/^\p{Ll}/u.test(next.slice(word.length + 1));
    if (isMarked || (NUMBER.test(word) && !ALNUM_END.test(line))) continue;
    const start = countCharacters(line);
    ends.set(i, { start, stop: start + 1 + countCharacters(word) + slack });
  }
  return ends;
}

/** Return the width with which most line ends agree, and their number. */
function findWidth(ends) {
  const numbers = []; // by width
  for (const { start, stop } of ends.values()) {
    for (let width = start; width < stop; width++) numbers[width] = (numbers[width] ?? 0) + 1;
  }
  const best = { width: 0, agreeing: 0 };
  numbers.forEach((agreeing, width) => {
    if (agreeing >= best.agreeing) Object.assign(best, { width, agreeing });
  });
  return best;
}

/** Return the number of gaps between words, and two fractions: after a sign, before no small letter. */
function measureGaps(texts, gap) {
  const gaps = texts.flatMap((text) => [...text.matchAll(gap)]);
  const share = (isCounted) => gaps.filter(isCounted).length / Math.max(1, gaps.length);
  return {
    number: gaps.length,
    signs: share(([, before]) => !ALNUM_END.test(before)),
    high: share(([, , after]) => /^(?:\p{Lu}|\P{L})/u.test(after)),
  };
}

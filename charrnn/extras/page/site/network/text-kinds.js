/** Recognize code and lists, and shuffle the lines of lists, as charrnn/text does. */

import { Uniforms } from "./random.js";
import { SENTENCE_END } from "./sentence-ends.js";

const PRIMER_CHARACTERS = 300; // as in charrnn/text/prompt.py
const PRIMER_WINDOW = 40_000; // characters, from which the primer is chosen
const BLANKS = "[^\\S\\n]*";
const NEW_LINE = `\\n(?=${BLANKS}[^\\s)\\]}])`; // no line that only closes a block follows
// after which a primer may end, the best first
const PRIMER_ENDS = [
  `\\n${BLANKS}${NEW_LINE}`, // an empty line
  `${SENTENCE_END}${BLANKS}${NEW_LINE}`, // a sentence at the end of a line
  SENTENCE_END,
  NEW_LINE,
  "\\S(?=\\s)", // a word
].map((end) => new RegExp(`${end}(?=(${BLANKS}))`, "gu"));

/** Return the number of characters; an emoji is one. */
export function countCharacters(text) {
  let length = 0;
  for (const _ of text) length++;
  return length;
}

/** Return the complete lines at the start of a text. */
export function takeHead(text, { head }) {
  return text.length < head ? text : text.slice(0, Math.max(0, text.lastIndexOf("\n", head - 1)));
}

/**
 * Return whether a text is a list: many short, different lines.
 *
 * @param {string} text
 * @param {Record<string, number>} constants  Of charrnn/text/kinds.py.
 */
export function isList(text, constants) {
  const { min_lines, min_different, max_words, max_line_characters, max_unlike, max_digits }
    = constants;
  const rows = takeHead(text, constants).replace(/\n$/, "").split("\n").map((row) => row.trimEnd());
  const lines = rows.filter((line, i) => i === 0 || line !== rows[i - 1]);
  const joined = lines.join("");
  const sum = (measure) => lines.reduce((total, line) => total + measure(line), 0);
  return new Set(lines).size >= Math.max(min_lines, min_different * lines.length)
    && sum((line) => line.match(/\S+/gu)?.length ?? 0) <= max_words * lines.length
    && countCharacters(joined) <= max_line_characters * lines.length
    && sum((line) => Number(!isEntry(line))) <= max_unlike * lines.length
    && (joined.match(/\p{Nd}/gu)?.length ?? 0) <= max_digits * countCharacters(joined);
}

/** Return whether the line is not empty or indented, and does not end in punctuation. */
function isEntry(line) {
  return /^\S/u.test(line) && !/\p{P}$/u.test(line);
}

/**
 * Return a passage near the middle of a text, after which a text might begin. The model reads it
 * first, so that what it writes begins with a sentence. See `choose_primer` in
 * charrnn/text/prompt.py.
 */
export function findPrimer(text) {
  const from = Math.max(0, Math.floor((text.length - PRIMER_WINDOW) / 2));
  const part = text.slice(from, from + PRIMER_WINDOW);
  const primer = part.slice(0, findPrimerEnd(part)).slice(-PRIMER_CHARACTERS);
  const least = Math.min(PRIMER_CHARACTERS, primer.length) / 2;
  const start = primer.slice(0, least).indexOf("\n") + 1;
  const whole = primer.slice(start).replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, "");
  return text.includes("\n") && !whole.endsWith("\n") ? `${whole}\n` : whole;
}

/** Return the best end of a primer: before the least indented line, and nearest to the middle. */
function findPrimerEnd(text) {
  const least = Math.max(1, Math.floor(Math.min(PRIMER_CHARACTERS, text.length) / 2));
  const middle = Math.max(PRIMER_CHARACTERS, Math.floor(text.length / 2));
  for (const pattern of PRIMER_ENDS) {
    const ends = [...text.matchAll(pattern)]
      .map(({ 0: match, 1: indent, index }) => ({ indent: indent.length, at: index + match.length }))
      .filter(({ at }) => at >= least);
    const order = (a, b) => a.indent - b.indent || Math.abs(a.at - middle) - Math.abs(b.at - middle);
    if (ends.length) return ends.sort(order)[0].at;
  }
  return text.length;
}

/** Return whether a text, by its first lines, looks like code: indented, with signs of code. */
export function isCode(text, { code: { indented_share, signs_share, signs }, lists }) {
  const head = text.slice(0, lists.head);
  const lines = head.split("\n").filter((line) => line.trim());
  const characters = [...head.replace(/\s/gu, "")];
  return lines.filter((line) => /^[ \t]/.test(line)).length > indented_share * lines.length
    && characters.filter((each) => signs.includes(each)).length > signs_share * characters.length;
}

/**
 * Shuffle the lines of a text, and put all copies of a line into the same split.
 *
 * @param {string} text
 * @param {{val: number, test: number}} sizes  The wanted characters of the splits at the end.
 * @param {ArrayLike<number> | null} order  Of the lines; null: an order of the page.
 * @returns {{joined: string, heldOut: {val: number, test: number}}}
 */
export function shuffleLines(text, sizes, order) {
  const lines = text.replace(/\n$/, "").split("\n");
  const copies = new Map();
  for (const line of lines) copies.set(line, (copies.get(line) ?? 0) + 1);
  const room = { ...sizes };
  const splits = { train: [], val: [], test: [] };
  const splitOf = new Map();
  for (const index of order ?? drawOrder(lines.length)) {
    const line = lines[index];
    if (!splitOf.has(line)) {
      const size = copies.get(line) * (countCharacters(line) + 1);
      const name = ["val", "test"].find((each) => size <= room[each]) ?? "train";
      splitOf.set(line, name);
      if (name !== "train") room[name] -= size;
    }
    splits[splitOf.get(line)].push(`${line}\n`);
  }
  const heldOut = { val: sizes.val - room.val, test: sizes.test - room.test };
  return { joined: Object.values(splits).flat().join(""), heldOut };
}

/** Return the numbers from 0 to n - 1 in an order that is the same each time. */
function drawOrder(n) {
  const order = Array.from({ length: n }, (_, i) => i);
  const uniforms = new Uniforms(0);
  for (let i = n - 1; i > 0; i--) { // Fisher and Yates
    const j = Math.floor(uniforms.next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** End a continuation at a sentence or a word, and join it to the text after it by one space. */

import { SENTENCE_END } from "./network/sentence-ends.js";

const SENTENCE = new RegExp(SENTENCE_END, "gu");
// of a letter or number at least; it may have several lines, as in verse
const FIRST_SENTENCE = new RegExp(
  `^[^\\p{L}\\p{N}]*[\\p{L}\\p{N}][^]*?(?:${SENTENCE_END}|(?=\\n\\s*\\n))`, "u");
const PARAGRAPH = /^\s*\S[^]*?(?=\n\s*\n|(?<=[^\n]{120})\n)/u; // a longer line is a paragraph
const WORD = /\S(?=\s)/gu;
const LATE = 2 / 3; // cut at the last sentence only if it ends in the last third of the text
const LONGEST_WORD = 40; // a longer rest is text without spaces, so it is not cut
const JOINED = /^[\p{L}\p{N}“‘„‚"'(]/u; // the start of a text that needs a blank before it

/** Return a continuation without the incomplete word at its end, to fit the text after it. */
export function trimEnd(text, textAfter) {
  let end = findLastEnd(text, SENTENCE);
  if (end < text.length * LATE) end = findLastEnd(text, WORD);
  if (end === 0 || text.length - end > LONGEST_WORD) end = text.length;
  if (JOINED.test(textAfter) && /\s/.test(text[end] ?? "")) end++;
  else if (/^\s/.test(textAfter)) end = text.slice(0, end).trimEnd().length;
  return text.slice(0, end);
}

/** Return a continuation that is complete, with a blank before the text after it. */
export function joinEnd(text, textAfter) {
  return text && !/\s$/.test(text) && JOINED.test(textAfter) ? `${text} ` : text;
}

/** Return the end of the first sentence of a text that is being written; null before it is known. */
export function findSentenceEnd(text) {
  const end = text.match(FIRST_SENTENCE)?.[0].length ?? text.length;
  // what follows tells whether a period belongs to an abbreviation, and whether » closes
  return /\S[^]/.test(text.slice(end)) ? end : null;
}

/** Return the end of the first paragraph of a text that is being written; null before it is known. */
export function findParagraphEnd(text) {
  return text.match(PARAGRAPH)?.[0].length ?? null;
}

/** Return the end of the word at a place. */
export function findWordEnd(text, place) {
  return place + text.slice(place).match(/^\S*/)[0].length;
}

function findLastEnd(text, pattern) {
  let end = 0;
  for (const { 0: match, index } of text.matchAll(pattern)) end = index + match.length;
  return end;
}

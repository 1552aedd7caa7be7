/** End a continuation at a sentence or a word, and join it to the text after it by one space. */

import { SENTENCE_END } from "./network/sentence-ends.js";

const SENTENCE = new RegExp(SENTENCE_END, "gu");
const FIRST_SENTENCE = new RegExp(`^\\s*\\S[^\\n]*?(?:${SENTENCE_END}|(?=\\n)|$)`, "u");
const WORD = /\S(?=\s)/gu;
const LATE = 2 / 3; // cut at the last sentence only if it ends in the last third of the text
const LONGEST_WORD = 40; // a longer rest is text without spaces, so it is not cut

/** Return a continuation without the incomplete word at its end, to fit the text after it. */
export function trimEnd(passage, textAfter) {
  const { text } = passage;
  let end = findLastEnd(text, SENTENCE);
  if (end < text.length * LATE) end = findLastEnd(text, WORD);
  if (end === 0 || text.length - end > LONGEST_WORD) end = text.length;
  if (/^[\p{L}\p{N}“‘"'(]/u.test(textAfter) && /\s/.test(text[end] ?? "")) end++;
  else if (/^\s/.test(textAfter)) end = text.slice(0, end).trimEnd().length;
  return passage.slice(0, end);
}

/** Return the end of the first sentence or line that is not blank. */
export function findSentenceEnd(text) {
  const sentence = text.match(FIRST_SENTENCE);
  return sentence ? sentence[0].length : text.length;
}

/** Return the end of the first word; spaces before it are skipped. */
export function findFirstWordEnd(text) {
  return findWordEnd(text, text.match(/^\s*/)[0].length);
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

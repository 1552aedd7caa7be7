/** Find the word or mark of a text that network/next-words.js could put at a place. */

const LETTER = /[\p{L}\p{M}]/u;
const WORD_BEFORE = /[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*['’]?$/u; // such as “don’t”, or its start
const WORD_OR_CHARACTER = /^(?:[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*|.)/su;

/**
 * Return the start and the end of the word or mark at a place. A blank before it belongs to it.
 *
 * @returns {[number, number]}
 */
export function findWordPlace(text, place) {
  let start = place;
  if (text[place] !== " ") {
    if (startsWithLetter(text.slice(place))) start -= measure(text.slice(0, place), WORD_BEFORE);
    if (text[start - 1] === " ") start--;
  }
  const first = text[start] === " " ? start + 1 : start;
  return [start, first + measure(text.slice(first), WORD_OR_CHARACTER)];
}

/** Return whether a word is only the end of the word with which a text ends. */
export function isWordEnd(text, word) {
  return /[\p{L}\p{M}]$/u.test(text) && startsWithLetter(word);
}

function startsWithLetter(text) {
  return LETTER.test(String.fromCodePoint(text.codePointAt(0) ?? 0));
}

function measure(text, pattern) {
  return text.match(pattern)?.[0].length ?? 0;
}

/** Count the words and characters of a text. */

import { translate } from "./language.js";

const WORD = /[\p{L}\p{N}][\p{L}\p{M}\p{N}'’-]*/gu; // such as “don’t” and “well-known”
const PAIR = /[\ud800-\udbff][\udc00-\udfff]/g; // two code units of one character, such as an emoji

/** Return the numbers of words and characters of a text, as the page shows them. */
export function describeLength(text) {
  const words = text.match(WORD)?.length ?? 0;
  const characters = text.length - (text.match(PAIR)?.length ?? 0);
  const format = (number, one, more) =>
    translate(number === 1 ? one : more, { n: number.toLocaleString(document.documentElement.lang) });
  return `${format(words, "1 word", "{n} words")} · `
    + format(characters, "1 character", "{n} characters");
}

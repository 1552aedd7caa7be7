/** Where a continuation ends: at a sentence or a word, joined to what follows by one blank. */

const ENDS = `[.!?…]+["'”’»)]*(?=\\s|$)|[。！？]+["”’»」』）]*`;
const SENTENCE = new RegExp(ENDS, "gu");
const FIRST_SENTENCE = new RegExp(`^\\s*\\S[^\\n]*?(?:${ENDS}|(?=\\n)|$)`, "u");
const WORD = /\S(?=\s)/gu;
const LATE = 2 / 3; // a sentence that ends after this part of the text is its end
const LONGEST_WORD = 40; // what is longer is text without blanks, and no word that was cut off

/** A continuation without the word that its length cut off, as it stands before other text. */
export function ended(passage, after) {
  const { text } = passage;
  let end = lastEnd(text, SENTENCE);
  if (end < text.length * LATE) end = lastEnd(text, WORD);
  if (end === 0 || text.length - end > LONGEST_WORD) end = text.length;
  if (/^[\p{L}\p{N}“‘"'(]/u.test(after) && /\s/.test(text[end] ?? "")) end++;
  else if (/^\s/.test(after)) end = text.slice(0, end).trimEnd().length;
  return passage.slice(0, end);
}

/** Where the first sentence or line ends that is more than white space. */
export function endOfSentence(text) {
  const sentence = text.match(FIRST_SENTENCE);
  return sentence ? sentence[0].length : text.length;
}

/** Where the first word ends, with what stands before it. */
export function endOfFirstWord(text) {
  return endOfWord(text, text.match(/^\s*/)[0].length);
}

export function endOfWord(text, place) {
  return place + text.slice(place).match(/^\S*/)[0].length;
}

function lastEnd(text, pattern) {
  let end = 0;
  for (const { 0: found, index } of text.matchAll(pattern)) end = index + found.length;
  return end;
}

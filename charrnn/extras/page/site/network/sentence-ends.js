/** The end of a sentence, with the marks of charrnn/text/sentences.py. */

// before these marks and a blank a sentence ends
export const SPACED_MARKS = ".!?…؟۔։।॥።፧။។";
// after these marks, of Chinese and Japanese, it ends without a blank
export const UNSPACED_MARKS = "。．！？｡";
// the closing quotes and brackets that may follow the marks
export const SPACED_CLOSING = "\"'”’»)]";
export const UNSPACED_CLOSING = "\"”’»」』）";

/** Patterns of one mark, of one quote or bracket after it, and of the end of a sentence. */
export const MARK = toClass(SPACED_MARKS + UNSPACED_MARKS);
export const CLOSING = toClass(SPACED_CLOSING + UNSPACED_CLOSING);
export const SENTENCE_END = `${toClass(SPACED_MARKS)}+${toClass(SPACED_CLOSING)}*(?=\\s|$)`
  + `|${toClass(UNSPACED_MARKS)}+${toClass(UNSPACED_CLOSING)}*`;

function toClass(characters) {
  return `[${characters.replace("]", "\\]")}]`;
}

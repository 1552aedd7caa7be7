/** The end of a sentence, as in charrnn/text/punctuation.py. */

// before these marks and a blank a sentence ends
export const SPACED_MARKS = ".!?…؟۔։।॥።፧။។";
// after these marks, of Chinese and Japanese, it ends without a blank
export const UNSPACED_MARKS = "。．！？｡";
// the closing quotes and brackets that may follow the marks; before a blank, “ and « close too
export const SPACED_CLOSING = "\"'”’“‘»«›‹)]";
export const UNSPACED_CLOSING = "\"”’»」』）";
// words after which a period ends no sentence
export const ABBREVIATIONS = ["Mr", "Mrs", "Ms", "Dr", "St", "Prof", "Hr", "Fr", "Nr", "Sr", "Sra",
  "vgl", "bzw"];

// nor after one letter (J., z. B.) or a number of at most two digits (am 3. Mai)
const NO_ENDS = ["\\p{L}", "\\p{Nd}{1,2}", ...ABBREVIATIONS].join("|");
const BEFORE = "(?<![\\p{L}\\p{N}_])"; // where a word begins
// nor after another word of at most three letters before a small letter or a digit (usw. und)
const PERIOD = `(?<!${BEFORE}(?:${NO_ENDS}))`
  + `(?:(?<!${BEFORE}\\p{L}{2,3})\\.|\\.(?!\\s+[\\p{Ll}\\p{Nd}]))`;

/** The pattern of the end of a sentence. */
export const SENTENCE_END = `(?:(?:${PERIOD}|${toClass(SPACED_MARKS.replace(".", ""))})`
  + `${toClass(SPACED_MARKS)}*${toClass(SPACED_CLOSING)}*`
  + "(?:[ \xa0\u202f]»)?(?=\\s|$)" // French has a blank before »
  + `|${toClass(UNSPACED_MARKS)}+${toClass(UNSPACED_CLOSING)}*)`;

function toClass(characters) {
  return `[${characters.replace("]", "\\]")}]`;
}

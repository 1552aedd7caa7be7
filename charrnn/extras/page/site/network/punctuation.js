/** How a text uses its marks, as in charrnn/text/punctuation.py. */

import { SPACED_MARKS, UNSPACED_MARKS } from "./sentence-ends.js";

const MARKS = SPACED_MARKS + UNSPACED_MARKS;

/** Return whether a mark of a pair opens or closes a quote after the character before it. */
export function mayCome(pair, isOpen, before, mark) {
  if (pair[0] !== pair[1]) return mark === pair[Number(isOpen)];
  return isOpen ? before !== " " : !MARKS.includes(before);
}

/**
 * Return the shares of marks that end sentences, and the pairs whose quotes close.
 *
 * @param {string[]} characters  Of a text.
 * @param {object} constants  Of charrnn/text/punctuation.py.
 */
export function describePunctuation(characters, constants) {
  const { pairs, min_quoted, max_open, min_ends, max_share } = constants;
  const text = characters.join("");
  const shares = {};
  for (const mark of MARKS) {
    const number = text.split(mark).length - 1;
    const ends = text.match(new RegExp(`[${mark}](?![\\p{L}\\p{N}])`, "gu"))?.length ?? 0;
    const isEnd = UNSPACED_MARKS.includes(mark) || ends >= min_ends * number;
    const isProse = number <= max_share * characters.length;
    if (number && isEnd && isProse) shares[mark] = number / characters.length;
  }
  const lines = text.split("\n");
  const closed = pairs.filter((pair) => {
    const quoted = lines.filter((line) => line.includes(pair[0]) || line.includes(pair[1]));
    const isLeftOpen = (line) => !closes(pair, line);
    return quoted.length >= min_quoted
      && quoted.filter(isLeftOpen).length <= max_open * quoted.length;
  });
  return { shares, pairs: closed };
}

/** Return whether a line ends outside of a quote, and closes none that is not open. */
function closes(pair, line) {
  let [isOpen, closesNone] = [false, false];
  for (let i = 0; i < line.length; i++) {
    if (!pair.includes(line[i])) continue;
    const comes = mayCome(pair, isOpen, line[i - 1] ?? "\n", line[i]);
    closesNone ||= !comes && !isOpen;
    isOpen = isOpen !== comes;
  }
  return !isOpen && !closesNone;
}

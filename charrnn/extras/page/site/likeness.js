/** Find the entries of a list that are most like the starred ones, by their sequences. */

const LENGTHS = [2, 3, 4]; // of the sequences that are compared, in characters

/**
 * Return the likeness of each text to the starred entries: the part of its sequences, weighted by
 * their rarity, that the starred entries have, too.
 *
 * @returns {Map<string, number>}
 */
export function rateLikeness(starred, texts) {
  const known = count(starred.flatMap((text) => [...new Set(listSequences(text))]));
  const frequency = count(texts.flatMap(listSequences));
  const rate = (text) => {
    let shared = 0;
    let sum = 0;
    for (const sequence of listSequences(text)) {
      const rarity = Math.log((texts.length + 1) / (frequency.get(sequence) + 1));
      shared += rarity * Math.min(known.get(sequence) ?? 0, 2);
      sum += rarity;
    }
    return sum ? shared / sum : 0;
  };
  return new Map(texts.map((text) => [text, rate(text)]));
}

function listSequences(text) {
  const characters = ["\n", ...text, "\n"];
  return characters.flatMap((_, start) => LENGTHS
    .filter((length) => start + length <= characters.length)
    .map((length) => characters.slice(start, start + length).join("")));
}

/** @returns {Map<string, number>} */
function count(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/**
 * Find the likeliest next words and marks after a text. It continues with exactly one of these:
 *
 * - A word: letters up to the end of the word, or a blank and such letters. Its probability is that
 *   these characters follow, and then one that is no letter.
 * - A mark: one character that is no letter, or a blank and such a character.
 *
 * The network reads the likeliest beginnings of words first, and at most `MAX_STEPS`.
 */

const BLANK = " ";
const MAX_STEPS = 200; // prefixes that the network reads
const TOGETHER = 16; // prefixes between two cuts of the list of words

/**
 * Return the k likeliest next words and marks, sorted by probability and then by text.
 *
 * @param {import("./network.js").Network | import("./counts.js").CountedNetwork} network
 * @param {import("./vocabulary.js").Vocabulary} vocabulary
 * @param {Float32Array} logits  Of the network for the last character of the text.
 * @param {Float32Array} state  After this character. It is not changed.
 * @param {number} k
 * @returns {{text: string, probability: number}[]}
 */
export function findNextWords(network, vocabulary, logits, state, k = 5) {
  const { characters, isBytes } = vocabulary;
  const isLetter = characters.map((character) =>
    (isBytes && character > "\x7f") || /[\p{L}\p{M}]/u.test(character));
  let words = []; // losses, in nats, and texts
  let prefixes = []; // of words; the network has not read their last characters
  let largest = Infinity; // the loss of the k-th word
  let stepsLeft = MAX_STEPS;

  /** Add what follows a prefix to `prefixes` and `words`. */
  const extend = (prefix, logProbs, after) => {
    const hasLetters = prefix.text !== "" && prefix.text !== BLANK;
    let end = 0; // the probability that the word ends
    logProbs.forEach((logProb, id) => {
      const text = prefix.text + characters[id];
      const loss = prefix.loss - logProb;
      if (hasLetters && !isLetter[id]) end += Math.exp(logProb);
      if (!(loss < largest)) return;
      if (isLetter[id] || text === BLANK) prefixes.push({ loss, text, last: id, state: after });
      else if (!hasLetters) words.push({ loss, text });
    });
    if (end > 0) words.push({ loss: prefix.loss - Math.log(end), text: prefix.text });
  };

  extend({ loss: 0, text: "" }, computeLogProbs(logits), state);
  while (true) {
    words = words.sort(compare).slice(0, k);
    if (words.length === k) largest = words[k - 1].loss;
    prefixes = prefixes.filter(({ loss }) => loss < largest).sort(compare);
    const batch = prefixes.splice(0, Math.min(TOGETHER, stepsLeft));
    if (!batch.length) break;
    stepsLeft -= batch.length;
    for (const prefix of batch) {
      const after = prefix.state.slice();
      extend(prefix, computeLogProbs(network.step(prefix.last, after)), after);
    }
  }
  return words.map(({ loss, text }) => ({ text, probability: Math.exp(-loss) }));
}

function compare(one, other) {
  return one.loss - other.loss || (one.text < other.text ? -1 : 1);
}

/** Return the logarithms (V,) of the probabilities. */
function computeLogProbs(logits) {
  const highest = logits.reduce((one, other) => Math.max(one, other));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - highest), 0);
  return Float64Array.from(logits, (logit) => logit - highest - Math.log(sum));
}

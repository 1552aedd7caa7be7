/** The text that the model reads before a place of the draft. */

const MAX_PROMPT = 8192; // characters

/**
 * Return the text that the model reads before a place: what it reads first, and the draft.
 *
 * @param {import("./draft.js").Draft} draft
 * @param {number} place
 * @param {number} [longest]  The most characters, of which at most half are read first.
 */
export function makePrompt({ text, readFirst }, place, longest = MAX_PROMPT) {
  const separator = readFirst && !/\s$/.test(readFirst) ? "\n" : "";
  const first = (readFirst + separator).slice(-longest / 2);
  return first + selectBefore(text, place, longest - first.length);
}

/**
 * Return the text before a place, or the last part of a long text. The start of that part moves in
 * large steps, so that a server with a cache of prompts reads little text again.
 */
export function selectBefore(text, place, longest = MAX_PROMPT) {
  const step = Math.floor(longest / 2);
  return text.slice(Math.max(0, Math.ceil((place - longest) / step) * step), place);
}

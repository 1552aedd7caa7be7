/** The text that the model reads before a place of the draft. */

const MAX_PROMPT = 8192; // characters

/**
 * Return the text before a place, or the last part of a long text. The start of that part moves in
 * large steps, so that the engine, which keeps states of the last prompt, reads little text again.
 */
export function selectBefore(text, place, longest = MAX_PROMPT) {
  const step = Math.floor(longest / 2);
  return text.slice(Math.max(0, Math.ceil((place - longest) / step) * step), place);
}

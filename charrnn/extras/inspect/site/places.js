/** Convert between the text in the text area and the ids that the network reads. */

const PICTURES = 0x2400; // symbols for control characters, which a text area would hide or change
const NAMES = { " ": "space", "\n": "line break", "\t": "tab", "\r": "return" };

/** Return a text with symbols for its control characters, except tabs and line breaks. */
export function toVisible(text) {
  return text.replace(/[\0-\x08\x0b-\x1f]/g, (control) =>
    String.fromCharCode(PICTURES + control.charCodeAt(0)));
}

/**
 * Return the ids of a visible text (-1: unknown), and the number of code units of each. If a
 * character has several bytes, its last id has all code units.
 *
 * @param {import("../../page/site/network/vocabulary.js").Vocabulary} vocabulary
 */
export function toPlaces(text, vocabulary) {
  const ids = [];
  const lengths = [];
  for (const character of text) {
    for (const token of vocabulary.split(fromVisible(character, vocabulary))) {
      ids.push(vocabulary.ids.get(token) ?? -1);
      lengths.push(0);
    }
    lengths[lengths.length - 1] = character.length;
  }
  return { ids, lengths };
}

/** Return a character in visible form: a name, the character, or its code. */
export function nameCharacter(character) {
  if (NAMES[character]) return NAMES[character];
  const code = character.codePointAt(0);
  if (code >= 0xdc80 && code < 0xdd00) return `byte ${code - 0xdc00}`;
  const isVisible = /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character);
  return isVisible ? character : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

function fromVisible(character, vocabulary) {
  const code = character.codePointAt(0);
  const isPicture = code >= PICTURES && code < PICTURES + 32;
  return isPicture && !vocabulary.ids.has(character) ? String.fromCharCode(code - PICTURES)
    : character;
}

/** Decode a text of a vocabulary of bytes from UTF-8; return other texts unchanged. */
export function toReadable(text, { isBytes }) {
  if (!isBytes) return text;
  const bytes = Uint8Array.from(text, (byte) => byte.charCodeAt(0) & 0xff);
  return new TextDecoder().decode(bytes);
}

/** A text as the places that a network steps over, and the other way round. */

const PICTURES = 0x2400; // of control characters, which a text area would not show or would change
const NAMES = { " ": "space", "\n": "line break", "\t": "tab", "\r": "return" };

/** A text with pictures in place of its control characters, all but tabs and line breaks. */
export function shown(text) {
  return text.replace(/[\0-\x08\x0b-\x1f]/g, (control) =>
    String.fromCharCode(PICTURES + control.charCodeAt(0)));
}

/**
 * The ids of a text as it is shown, and how many units of the text each has: of a character that
 * is several bytes, the last has all. -1 is what the model does not know.
 *
 * @param {import("../../page/site/network/vocabulary.js").Vocabulary} vocabulary
 */
export function placesOf(text, vocabulary) {
  const ids = [];
  const lengths = [];
  for (const character of text) {
    for (const token of vocabulary.split(meant(character, vocabulary))) {
      ids.push(vocabulary.ids.get(token) ?? -1);
      lengths.push(0);
    }
    lengths[lengths.length - 1] = character.length;
  }
  return { ids, lengths };
}

/** A character in words or signs that one sees. */
export function named(character) {
  if (NAMES[character]) return NAMES[character];
  const code = character.codePointAt(0);
  if (code >= 0xdc80 && code < 0xdd00) return `byte ${code - 0xdc00}`;
  const plain = /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character);
  return plain ? character : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

function meant(character, vocabulary) {
  const code = character.codePointAt(0);
  const isPicture = code >= PICTURES && code < PICTURES + 32;
  return isPicture && !vocabulary.ids.has(character) ? String.fromCharCode(code - PICTURES)
    : character;
}

/** A text of a vocabulary of bytes in the characters that its bytes are; any other as it is. */
export function readable(text, { isBytes }) {
  if (!isBytes) return text;
  const bytes = Uint8Array.from(text, (byte) => byte.charCodeAt(0) & 0xff);
  return new TextDecoder().decode(bytes);
}

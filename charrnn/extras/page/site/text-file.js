/** Read a text that the reader wants the page to learn, and refuse what is not one. */

const LEAST = 400; // characters; from fewer, the page writes only pieces of the text
const HEAD = 4096; // bytes that tell whether it is UTF-16
const LARGEST_SHARE_OF_NUL = 0.05; // of these bytes; UTF-16 has more
const UTF8_BYTES = 4; // the most of a character

/** The first bytes of files that are no text, and what to do. */
const KINDS = [
  ["%PDF-", "a PDF", "copy its text and paste it here"],
  ["PK\x03\x04", "a ZIP archive, as .docx, .odt and .epub files are", "save it as plain text"],
  ["{\\rtf", "in RTF, the format of a word processor", "save it as plain text"],
  ["\x1f\x8b", "compressed", "unpack it first"],
];

/**
 * Return the name and the text of a file.
 *
 * @param {File} file
 * @param {number} most  The most characters that are learnt.
 * @returns {Promise<{name: string, text: string}>}
 * @throws {Error} Says what is wrong with the file, and what to do.
 */
export async function readTextFile(file, most) {
  if (file.size > most * UTF8_BYTES) throw new Error(describeLong(file.name, most));
  const bytes = new Uint8Array(await file.arrayBuffer());
  const start = String.fromCharCode(...bytes.subarray(0, 5));
  const kind = KINDS.find(([first]) => start.startsWith(first));
  if (kind) throw new Error(`${file.name} is ${kind[1]}: ${kind[2]}.`);
  const text = decode(bytes);
  if (text === null) {
    throw new Error(`${file.name} is not a text in UTF-8: save it as plain text in UTF-8.`);
  }
  const name = file.name.replace(/\.[^.]*$/, "") || file.name;
  return { name, text: prepareText(text, file.name, most) };
}

/** Return a pasted text, and its first words as its name. */
export function readPastedText(pasted, most) {
  const text = prepareText(pasted, "This text", most);
  const [line] = text.trim().split("\n");
  const [name] = line.match(/^.{1,30}(?!\S)|^.{1,30}/u);
  return { name: name.trim(), text };
}

/** Return the text of bytes; null if they are none. */
function decode(bytes) {
  const mark = { 0xfffe: "utf-16le", 0xfeff: "utf-16be" }[bytes[0] * 256 + bytes[1]];
  const head = bytes.subarray(0, HEAD);
  const nul = head.filter((byte) => byte === 0).length;
  if (!mark && nul > LARGEST_SHARE_OF_NUL * head.length) return null;
  try {
    return new TextDecoder(mark ?? "utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Return a text with the page's line ends, or throw an error if it cannot be learnt. */
function prepareText(given, name, most) {
  const text = given.toWellFormed().replace(/\r\n?/g, "\n"); // as a text area has them
  const length = countCharacters(text, most);
  if (!text.trim()) throw new Error(`${name} is empty: choose a text.`);
  if (length < LEAST) {
    throw new Error(`${name} has only ${length} characters: take one of ${LEAST} or more.`);
  }
  if (length > most) throw new Error(describeLong(name, most));
  if (/^(.)\1*$/su.test(text)) {
    throw new Error(`${name} repeats one character: take a text with more.`);
  }
  return text;
}

/** Return the number of characters; of code units, which is faster, where no limit is near. */
function countCharacters(text, most) {
  if (text.length <= most && text.length > 2 * LEAST) return text.length;
  let length = 0;
  for (const _ of text) length++;
  return length;
}

function describeLong(name, most) {
  return `${name} is longer than ${most.toLocaleString("en")} characters: take a part of it.`;
}

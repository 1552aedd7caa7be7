/** Read a text that the reader wants the page to learn, and refuse what is not one. */

import { guessEncoding } from "./encodings.js";

const LEAST = 400; // characters; from fewer, the page writes only pieces of the text
const UTF8_BYTES = 4; // the most of a character
const ZIP = "PK\x03\x04"; // the first bytes of .docx, .odt and .epub files, too
const RTF = "{\\rtf";

/** The first bytes of files that are no text, and what to do. */
const KINDS = [
  ["%PDF-", "a PDF: copy its text and paste it here."],
  [ZIP, "a ZIP archive: unpack it first."],
  ["\x1f\x8b", "compressed: unpack it first."],
  ["\xd0\xcf\x11\xe0", "an old Word document: save it as .docx or as plain text."],
];

/** Return the first bytes of a file as characters. */
async function readStart(file) {
  return String.fromCharCode(...new Uint8Array(await file.slice(0, 5).arrayBuffer()));
}

/** Return the kind of a document of a word processor, such as ".odt"; null for another file. */
async function findDocumentKind(file) {
  const start = await readStart(file);
  if (start === RTF) return ".rtf";
  const extension = file.name.match(/\.[^.]+$/)?.[0].toLowerCase() ?? ".zip";
  return start.startsWith(ZIP) && extension !== ".zip" ? extension : null;
}

/**
 * Return the name and the text of a file.
 *
 * @param {File} file
 * @param {number} most  The most characters that are learnt.
 * @param {(name: string, bytes: Uint8Array, encoding: string) => Promise<string>} askEncoding
 *   Returns the text of bytes that are not UTF-8, in their likely encoding or another one.
 * @returns {Promise<{name: string, text: string}>}
 * @throws {Error} Says what is wrong with the file, and what to do.
 */
export async function readTextFile(file, most, askEncoding) {
  if (file.size > most * UTF8_BYTES) throw new Error(describeLong(file.name, most));
  const documentKind = await findDocumentKind(file);
  if (documentKind) {
    throw new Error(`This page cannot read ${documentKind} files. Save the text as plain text, then `
      + "choose it again.");
  }
  const start = await readStart(file);
  const kind = KINDS.find(([first]) => start.startsWith(first));
  if (kind) throw new Error(`${file.name} is ${kind[1]}`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = decode(bytes);
  if (text === null) {
    const encoding = guessEncoding(bytes);
    if (!encoding) throw new Error(`${file.name} is not a text: choose a text file.`);
    text = await askEncoding(file.name, bytes, encoding);
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

/** Return the text of bytes in UTF-8, or in UTF-16 with its mark; null for other bytes. */
function decode(bytes) {
  const mark = { 0xfffe: "utf-16le", 0xfeff: "utf-16be" }[bytes[0] * 256 + bytes[1]];
  try {
    const text = new TextDecoder(mark ?? "utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") ? null : text; // UTF-16 without its mark, or no text
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

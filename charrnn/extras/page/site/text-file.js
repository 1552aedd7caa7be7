/** Read a text that the reader wants the page to learn, and refuse what is not one. */

import { isDocument, readDocument } from "./documents.js";
import { getTitle } from "./draft.js";
import { translate } from "./language.js";

const LEAST = 400; // characters; from fewer, the page writes only pieces of the text
const UTF8_BYTES = 4; // the most of a character

/**
 * Return the name and the text of files, in the order of their names.
 *
 * @param {File[]} files
 * @param {number} most  The most characters that are learnt.
 * @returns {Promise<{name: string, text: string}>}
 * @throws {Error} Says what is wrong with a file, and what to do.
 */
export async function readFiles(files, most) {
  const sorted = files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  let joined = "";
  for (const file of sorted) {
    if (joined && !joined.endsWith("\n")) joined += "\n"; // the last line of a file is one line
    joined += await readText(file, most).catch((error) => {
      if (!(error instanceof DOMException)) throw error;
      throw new Error(translate("{name} is a folder, or is no longer there: choose files.", file));
    });
  }
  const [{ name }] = sorted;
  const title = name.replace(/\.[^.]*$/, "") || name;
  return { name: title, text: prepareText(joined, name, most) };
}

/** Return the text of a file. A document may be large by its pictures. */
async function readText(file, most) {
  const { name } = file;
  if (await isDocument(file)) {
    return readDocument(file).then((text) => `${text}\n`, ({ message }) => {
      throw new Error(`${name}: ${translate(message)}`);
    });
  }
  if (file.size > most * UTF8_BYTES) throw new Error(describeLong(name, most));
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = decode(bytes);
  if (text === null) {
    throw new Error(translate("{name} is not a text in UTF-8: save it as plain text in UTF-8.",
      { name }));
  }
  return text;
}

/** Return a pasted text, and its first words as its name. */
export function readPastedText(pasted, most) {
  const text = prepareText(pasted, translate("This text"), most);
  return { name: getTitle(text), text };
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

/** Return a text as the page learns it, or throw an error if it cannot be learnt. */
function prepareText(given, name, most) {
  const text = given.toWellFormed().replace(/\r\n?/g, "\n") // as a text area has them
    .replaceAll("\u00ad", ""); // soft hyphens would divide words
  const length = text.length > most || text.length < 2 * LEAST ? [...text].length : text.length;
  if (!text.trim()) throw new Error(translate("{name} is empty: choose a text.", { name }));
  if (length < LEAST) {
    throw new Error(translate("{name} has only {length} characters: take one of {least} or more.",
      { name, length, least: LEAST }));
  }
  if (length > most) throw new Error(describeLong(name, most));
  if (/^(.)\1*$/su.test(text)) {
    throw new Error(translate("{name} repeats one character: take a text with more.", { name }));
  }
  return text;
}

function describeLong(name, most) {
  return translate("{name} is longer than {most} characters: take a part of it.",
    { name, most: most.toLocaleString() });
}

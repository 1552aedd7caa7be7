/** Save drafts and lists as files, and read them. */

import { Passage } from "./draft.js";

const LARGEST = 20_000_000; // bytes of a file; browsers store less
const COLLECTIONS = "charrnn drafts and lists";

/** Let the browser save a text as a file. */
export function saveFile(name, text, type = "text/plain") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * Return all drafts and lists as JSON.
 *
 * @param {{name: string, passage: Passage, readFirst: string}[]} drafts
 * @param {{name: string, entries: import("./list.js").Entry[]}[]} lists
 */
export function collectionsToJson(drafts, lists) {
  const withPieces = drafts.map(({ name, passage, readFirst }) =>
    ({ name, read_first: readFirst, pieces: toPieces(passage) }));
  return JSON.stringify({ format: COLLECTIONS, drafts: withPieces, lists }, null, 1);
}

/** Return the pieces of a draft, those that the model wrote with their surprise. */
function toPieces({ text, bits }) {
  const pieces = [];
  for (let start = 0, end = 0; start < text.length; start = end) {
    const isTyped = isNaN(bits[start]);
    while (end < text.length && isNaN(bits[end]) === isTyped) end++;
    const piece = { text: text.slice(start, end) };
    if (!isTyped) piece.bits = Array.from(bits.slice(start, end), (b) => Number(b.toFixed(1)));
    pieces.push(piece);
  }
  return pieces;
}

/**
 * Return the drafts and lists in a file: all of a browser, or one draft as plain text.
 *
 * @param {File} file
 * @returns {Promise<{drafts: {name: string, passage: Passage, readFirst?: string}[],
 *   lists: {name: string, entries: import("./list.js").Entry[]}[]}>}
 * @throws {Error} Says what is wrong with the file.
 */
export async function readCollections(file) {
  if (file.size > LARGEST) throw new Error(`${file.name} is larger than 20 MB.`);
  const bytes = await file.arrayBuffer();
  const isJson = file.name.endsWith(".json");
  const name = file.name.replace(/\.[^.]*$/, "");
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r\n?/g, "\n");
    if (!isJson) return { drafts: [{ name, passage: new Passage(text) }], lists: [] };
    return parseCollections(JSON.parse(text));
  } catch {
    const expected = isJson ? "an export of this page" : "text in UTF-8";
    throw new Error(`${file.name} is not ${expected}.`);
  }
}

/** Return the drafts and lists in the parsed JSON of `collectionsToJson`. */
export function parseCollections({ format, drafts, lists }) {
  if (format !== COLLECTIONS) throw new Error("another format");
  return { drafts: drafts.map(toDraft), lists: lists.map(toList) };
}

function toDraft({ name, pieces, read_first: readFirst = "" }) {
  const passage = pieces.map(toPassage).reduce((all, piece) => all.append(piece), new Passage(""));
  return { name: String(name), passage, readFirst: String(readFirst) };
}

function toList({ name, entries }) {
  const known = entries.map(({ text, isStarred }) =>
    ({ text: String(text), isStarred: isStarred === true }));
  return { name: String(name), entries: known };
}

function toPassage({ text, bits }) {
  const passage = new Passage(text, bits && Float32Array.from(bits));
  if (typeof text !== "string" || text.includes("\r") || passage.bits.length !== text.length) {
    throw new Error("not a piece of a draft");
  }
  return passage;
}

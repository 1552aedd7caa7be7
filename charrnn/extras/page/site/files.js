/** Save drafts as files, and read them. */

import { Passage } from "./draft.js";

const LARGEST = 2_000_000; // bytes of a file that is opened as a draft
const FORMAT = "charrnn draft";

/** Let the browser save a text as a file. */
export function saveFile(name, text, type = "text/plain") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Return a draft as JSON: its pieces with their authors, the model's with their surprise. */
export function draftToJson({ text, bits }) {
  const pieces = [];
  for (let start = 0, end = 0; start < text.length; start = end) {
    const isTyped = isNaN(bits[start]);
    while (end < text.length && isNaN(bits[end]) === isTyped) end++;
    const piece = { by: isTyped ? "you" : "model", text: text.slice(start, end) };
    if (!isTyped) piece.bits = Array.from(bits.slice(start, end), (b) => Number(b.toFixed(1)));
    pieces.push(piece);
  }
  const lines = pieces.map((piece) => JSON.stringify(piece)).join(",\n");
  return `{"format": "${FORMAT}", "pieces": [\n${lines}\n]}\n`;
}

/**
 * Return the draft in a file, as JSON or as plain text.
 *
 * @param {File} file
 * @throws {Error} Says what is wrong with the file.
 */
export async function readDraft(file) {
  if (file.size > LARGEST) throw new Error(`${file.name} is larger than 2 MB.`);
  const bytes = await file.arrayBuffer();
  const isJson = file.name.endsWith(".json");
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r\n?/g, "\n");
    if (!isJson) return new Passage(text);
    const { format, pieces } = JSON.parse(text);
    if (format !== FORMAT) throw new Error("another format");
    return pieces.map(toPassage).reduce((draft, piece) => draft.append(piece), new Passage(""));
  } catch {
    const expected = isJson ? "a saved draft" : "text in UTF-8";
    throw new Error(`${file.name} is not ${expected}.`);
  }
}

function toPassage({ text, bits }) {
  const passage = new Passage(text, bits && Float32Array.from(bits));
  if (typeof text !== "string" || text.includes("\r") || passage.bits.length !== text.length) {
    throw new Error("not a piece of a draft");
  }
  return passage;
}

/** What the reader saves as a file and opens again. */

import { Passage } from "./draft.js";

const LARGEST = 2_000_000; // bytes of a draft that is opened
const FORMAT = "charrnn draft";

/** Have the browser save a text under a name. */
export function saveFile(name, text, type = "text/plain") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** A draft as JSON: its pieces in turn, each with who wrote it, the model's with their surprise. */
export function draftAsJson({ text, bits }) {
  const pieces = [];
  for (let start = 0, end = 0; start < text.length; start = end) {
    const isTyped = isNaN(bits[start]);
    while (end < text.length && isNaN(bits[end]) === isTyped) end++;
    const piece = { by: isTyped ? "you" : "model", text: text.slice(start, end) };
    if (!isTyped) piece.bits = Array.from(bits.slice(start, end), (one) => Number(one.toFixed(1)));
    pieces.push(piece);
  }
  const lines = pieces.map((piece) => JSON.stringify(piece)).join(",\n");
  return `{"format": "${FORMAT}", "pieces": [\n${lines}\n]}\n`;
}

/**
 * The draft in a file, as JSON or as plain text.
 *
 * @param {File} file
 * @throws {Error} It says what is wrong with it.
 */
export async function openDraft(file) {
  if (file.size > LARGEST) throw new Error(`${file.name} is larger than 2 MB.`);
  const bytes = await file.arrayBuffer();
  const isSaved = file.name.endsWith(".json");
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r\n?/g, "\n");
    if (!isSaved) return new Passage(text);
    const { format, pieces } = JSON.parse(text);
    if (format !== FORMAT) throw new Error("of another format");
    return pieces.map(passageOf)
      .reduce((all, one) => all.replaced(all.length, all.length, one), new Passage(""));
  } catch {
    const what = isSaved ? "no draft that was saved here" : "no text in UTF-8";
    throw new Error(`${file.name} is ${what}.`);
  }
}

function passageOf({ text, bits }) {
  const passage = new Passage(text, bits && Float32Array.from(bits));
  if (typeof text !== "string" || text.includes("\r") || passage.bits.length !== text.length) {
    throw new Error("no piece of a draft");
  }
  return passage;
}

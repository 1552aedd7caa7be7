/** Save drafts and lists as files, and read them. */

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
 * @param {{name: string, text: string}[]} drafts
 * @param {{name: string, entries: import("./list.js").Entry[]}[]} lists
 */
export function collectionsToJson(drafts, lists) {
  return JSON.stringify({ format: COLLECTIONS, drafts, lists }, null, 1);
}

/**
 * Return the drafts and lists in a file: all of a browser, or one draft as plain text.
 *
 * @param {File} file
 * @throws {Error} Says what is wrong with the file.
 */
export async function readCollections(file) {
  if (file.size > LARGEST) throw new Error(`${file.name} is larger than 20 MB.`);
  const bytes = await file.arrayBuffer();
  const isJson = file.name.endsWith(".json");
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r\n?/g, "\n");
    if (isJson) return parseCollections(JSON.parse(text));
    return { drafts: [{ name: file.name.replace(/\.[^.]*$/, ""), text }], lists: [] };
  } catch {
    const expected = isJson ? "an export of this page" : "text in UTF-8";
    throw new Error(`${file.name} is not ${expected}.`);
  }
}

/** Return the drafts and lists in the parsed JSON of `collectionsToJson`. */
export function parseCollections({ format, drafts, lists }) {
  if (format !== COLLECTIONS) throw new Error("another format");
  return {
    drafts: drafts.map(({ name, text }) =>
      ({ name: String(name), text: String(text).replace(/\r\n?/g, "\n") })),
    lists: lists.map(({ name, entries }) => ({
      name: String(name),
      entries: entries.map(({ text, isStarred }) =>
        ({ text: String(text), isStarred: isStarred === true })),
    })),
  };
}

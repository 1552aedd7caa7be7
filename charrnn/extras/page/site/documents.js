/** Read the text of .docx, .odt and .epub files: a line for each paragraph. */

const MAX_BYTES = 20_000_000; // of the unpacked parts that contain text

const WAY_OUT = "Save it as .docx or as plain text";
const FOREIGN = {
  "%PDF": `This is a PDF. ${WAY_OUT}.`,
  "{\\rt": `This is an .rtf file. ${WAY_OUT} (TextEdit: Format, Make Plain Text).`,
  "\xd0\xcf\x11\xe0": `This is a .doc file, or it has a password. ${WAY_OUT}, without a password.`,
};
const OTHER = `This is no .docx, .odt or .epub file. ${WAY_OUT}.`; // such as .pages
const PROTECTED = `This file is encrypted. ${WAY_OUT}, without a password.`;
const DAMAGED = `This file is damaged. Open it in its program. ${WAY_OUT}.`;
const TOO_LARGE = "This file has more than 20 MB of text. Save a part of it as plain text.";

// by local names, of all three formats
const SKIPPED = new Set(["pPr", "rPr", "instrText", "delText", "moveFrom", "Fallback", "note",
  "annotation", "tracked-changes", "script", "style"]);
const MARKS = { "br": "\n", "cr": "\n", "line-break": "\n", "tab": "\t", "noBreakHyphen": "-" };
const BLOCKS = new Set(["p", "h", "h1", "h2", "h3", "h4", "h5", "h6", "li", "div", "section",
  "blockquote", "pre", "td", "tr", "hr", "dt", "dd"]);

class DocumentError extends Error {}

/** Return whether a file begins like a document, not like a plain text. */
export async function isDocument(file) {
  const start = await readStart(file);
  return start === "PK\x03\x04" || start in FOREIGN;
}

/** Return the text of a document. Throw an Error that says what is wrong, and what to do. */
export async function readDocument(file) {
  const start = await readStart(file);
  if (start !== "PK\x03\x04") throw new DocumentError(FOREIGN[start] ?? OTHER);
  try {
    return await readArchive(await listParts(file));
  } catch (error) {
    throw error instanceof DocumentError ? error : new DocumentError(DAMAGED);
  }
}

async function readStart(file) {
  return String.fromCharCode(...new Uint8Array(await file.slice(0, 4).arrayBuffer()));
}

async function readArchive(parts) {
  const manifest = await parts.get("META-INF/manifest.xml")?.();
  const hasRights = parts.has("META-INF/rights.xml") || parts.has("META-INF/sinf.xml"); // of a shop
  if (hasRights || manifest?.includes("encryption-data")) throw new DocumentError(PROTECTED);
  if (parts.has("word/document.xml")) {
    return collectText([parse(await parts.get("word/document.xml")())], "t");
  }
  if (parts.has("content.xml")) return collectText([parse(await parts.get("content.xml")())]);
  if (!parts.has("META-INF/container.xml")) throw new DocumentError(OTHER);
  const container = parse(await parts.get("META-INF/container.xml")());
  const path = container.querySelector("rootfile").getAttribute("full-path");
  const book = parse(await parts.get(path)());
  const files = new Map([...book.querySelectorAll("manifest > item")].map((item) =>
    [item.id, new URL(item.getAttribute("href"), `file:///${path}`).pathname.slice(1)]));
  const chapters = new Set([...book.querySelectorAll("itemref")].map((item) =>
    decodeURIComponent(files.get(item.getAttribute("idref")))));
  const pages = [];
  for (const chapter of chapters) pages.push(parse(await parts.get(chapter)(), true));
  return collectText(pages);
}

/** Return functions that unpack the parts of a ZIP archive, by their names. */
async function listParts(file) {
  const budget = { bytes: MAX_BYTES }; // of all parts, whatever sizes the archive states
  const view = async (start, end) => new DataView(await file.slice(start, end).arrayBuffer());
  const tail = await view(-65_557);
  let end = tail.byteLength - 22;
  while (tail.getUint32(end, true) !== 0x06054b50) end--; // throws without an end record
  const parts = new Map();
  const decoder = new TextDecoder();
  const directory = await view(tail.getUint32(end + 16, true));
  for (let at = 0, left = tail.getUint16(end + 10, true); left; left--) {
    const [flags, method] = [8, 10].map((offset) => directory.getUint16(at + offset, true));
    const [size, local] = [20, 42].map((offset) => directory.getUint32(at + offset, true));
    const lengths = [28, 30, 32].map((offset) => directory.getUint16(at + offset, true));
    const name = decoder.decode(new Uint8Array(directory.buffer, at + 46, lengths[0]));
    parts.set(name, async () => {
      if (flags & 1) throw new DocumentError(PROTECTED);
      const header = await view(local, local + 30);
      const start = local + 30 + header.getUint16(26, true) + header.getUint16(28, true);
      const stream = file.slice(start, start + size).stream();
      return unpack(method ? stream.pipeThrough(new DecompressionStream("deflate-raw")) : stream,
        budget);
    });
    at += 46 + lengths[0] + lengths[1] + lengths[2];
  }
  return parts;
}

async function unpack(stream, budget) {
  const pieces = [];
  const reader = stream.getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    budget.bytes -= piece.value.length;
    if (budget.bytes < 0) {
      reader.cancel();
      throw new DocumentError(TOO_LARGE);
    }
    pieces.push(piece.value);
  }
  return new Blob(pieces).text();
}

function parse(text, isPage = false) {
  if (text.includes("<!ENTITY")) throw new Error("entities could grow without limit");
  const type = isPage ? "application/xhtml+xml" : "application/xml";
  const parsed = new DOMParser().parseFromString(text, type);
  if (!parsed.querySelector("parsererror")) return parsed;
  if (!isPage) throw new Error("no XML");
  return new DOMParser().parseFromString(text, "text/html");
}

/** Return the text of documents. Only text in elements named `only` counts, if it is given. */
function collectText(documents, only = null) {
  const lines = [""];
  const add = (text) => { lines[lines.length - 1] += text; };
  const visit = (node, isText) => {
    if (isText && node.data) add(only ? node.data : node.data.replace(/[ \t\r\n]+/g, " "));
    const name = node.localName;
    if (!name || SKIPPED.has(name)) return;
    if (name === "s" && node.prefix) add(" "); // of .odt; <s> of a page is no blank
    if (name in MARKS) add(MARKS[name]);
    if (BLOCKS.has(name) && lines.at(-1).trim()) lines.push("");
    for (const child of node.childNodes) visit(child, !only || name === only);
    if (BLOCKS.has(name) && (lines.at(-1).trim() || name === "p")) lines.push("");
  };
  for (const each of documents) visit(each.querySelector("body"), false);
  return lines.map((line) => line.trim()).join("\n").trim();
}

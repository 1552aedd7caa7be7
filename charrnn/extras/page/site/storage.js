/**
 * Store drafts, lists and settings in this browser, so that they survive a reload.
 *
 * Pages that are opened as files may share one storage, so each has a different `data-keep`
 * attribute, which is part of its keys. A page that learns texts changes it for each text, so that
 * each has drafts and lists for itself; the settings stay those of the page.
 */

import { Passage } from "./draft.js";

const getPrefix = () => document.documentElement.dataset.keep ?? "charrnn";
const EXTRA = ".extra."; // a part of the keys of what belongs to a draft
const SETTINGS = `${getPrefix()}.settings`;

/** The named drafts, or the named lists, of this browser. One of them is open in this window. */
export class Collection {
  /** @param {"draft" | "list"} kind  Also the key of the first draft or list. */
  constructor(kind) {
    this.kind = kind;
    this.reopen();
  }

  /** Open the one that was opened last under the page's present prefix. */
  reopen() {
    const { opened, names } = this.#loadIndex();
    this.key = opened in names ? opened : Object.keys(names)[0];
    this.name = names[this.key]; // of the open one
  }

  /** Whether nothing of it is stored. */
  get isNew() {
    return load(this.#index) === null && this.load() === null;
  }

  /** The names by key, in the order in which they were created. */
  get names() {
    return this.#loadIndex().names;
  }

  /** Open another one. */
  open(key) {
    this.key = key;
    this.rename(this.names[key]);
  }

  /** Create one, and open it. */
  create(name) {
    const { names } = this;
    let number = Object.keys(names).length + 1;
    while (`${this.kind}.${number}` in names) number++;
    this.key = `${this.kind}.${number}`;
    this.rename(name ?? this.#makeName(number));
  }

  /** Rename the open one. */
  rename(name) {
    this.name = name;
    store(this.#index, { opened: this.key, names: { ...this.names, [this.key]: name } });
  }

  /** Delete the open one, and open another. */
  remove() {
    const { [this.key]: _, ...names } = this.names;
    store(this.#index, { names });
    store(`${getPrefix()}.${this.key}`, null);
    removeExtras(this.#extras);
    const [first] = Object.keys(names);
    if (first) this.open(first);
    else this.create();
  }

  /** Store the content of the open one; return whether the browser had room and allowed it. */
  store(content) {
    // another window may have deleted it
    if (!(this.key in this.names)) this.rename(this.name);
    const key = `${getPrefix()}.${this.key}`;
    return store(key, content) || (removeExtras("charrnn.") && store(key, content));
  }

  /** Store something that belongs to the open one; it is removed when a draft needs its room. */
  storeExtra(name, content) {
    store(this.#extras + name, content);
  }

  loadExtra(name) {
    return load(this.#extras + name);
  }

  load(key = this.key) {
    return load(`${getPrefix()}.${key}`);
  }

  /** Call `listener` when another window has stored the open one. */
  onStoredElsewhere(listener) {
    window.addEventListener("storage", (event) => {
      if (event.key === `${getPrefix()}.${this.key}`) listener();
    });
  }

  /** The start of the keys of what belongs to the open one. */
  get #extras() {
    return `${getPrefix()}.${this.key}${EXTRA}`;
  }

  /** The key of its names and of the key that was opened last. */
  get #index() {
    return `${getPrefix()}.${this.kind}s`;
  }

  #loadIndex() {
    return load(this.#index) ?? { opened: this.kind, names: { [this.kind]: this.#makeName(1) } };
  }

  #makeName(number) {
    return `${this.kind === "draft" ? "Draft" : "List"} ${number}`;
  }
}

/** Return the content to store for a draft. */
export function packDraft({ text, bits }, { caret = 0, readFirst = "" } = {}) {
  return { text, bits: packBits(bits), caret, readFirst };
}

/** Return a stored draft as {passage, caret, readFirst}; it is empty if nothing valid is stored. */
export function unpackDraft(content) {
  const { text, bits, caret, readFirst } = content ?? {};
  const isValid = typeof text === "string" && bits?.length === text.length;
  if (!isValid) return { passage: new Passage(""), caret: 0, readFirst: "" };
  const passage = new Passage(text, unpackBits(bits));
  return { passage, caret: Number(caret) || 0, readFirst: String(readFirst ?? "") };
}

/** Return the entries of a stored list. */
export const unpackList = (content) => [content ?? []].flat();
export const storeSettings = (settings) => store(SETTINGS, settings);
export const loadSettings = () => load(SETTINGS) ?? {};

/** The server's token is stored for this window only. */
export const storeToken = (token) => store("charrnn.token", token, "sessionStorage");
export const loadToken = () => load("charrnn.token", "sessionStorage");

/** Store a value (null: none), and return whether the browser had room and allowed it. */
function store(key, value, storage = "localStorage") {
  try {
    if (value === null) window[storage].removeItem(key);
    else window[storage].setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false; // the storage is full or switched off
  }
}

/** Remove what belongs to drafts whose keys start so, and return whether the browser allowed it. */
function removeExtras(start) {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(start));
    for (const key of keys.filter((each) => each.includes(EXTRA))) localStorage.removeItem(key);
    return true;
  } catch {
    return false; // the storage is switched off
  }
}

function load(key, storage = "localStorage") {
  try {
    return JSON.parse(window[storage].getItem(key));
  } catch {
    return null;
  }
}

// Bits are stored in tenths, one letter each: "0" is 0, "1" is 0.1, ...; a space is NaN.
const NONE = " ";
const FIRST = 48;
const MAX_TENTHS = 1000;

function packBits(bits) {
  let letters = "";
  for (const value of bits) {
    const tenths = Math.min(MAX_TENTHS, Math.round(value * 10));
    letters += isNaN(value) ? NONE : String.fromCharCode(FIRST + tenths);
  }
  return letters;
}

function unpackBits(letters) {
  return Float32Array.from(letters, (letter) =>
    letter === NONE ? NaN : (letter.charCodeAt(0) - FIRST) / 10);
}

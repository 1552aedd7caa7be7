/**
 * Store drafts, lists and settings in this browser, so that they survive a reload.
 *
 * Pages that are opened as files may share one storage, so each has a different `data-keep`
 * attribute, which is part of its keys. A text that the page learns has its own, so that each has
 * drafts and lists for itself; the settings stay those of the page.
 *
 * What is stored has a version. A window that finds another version than its own knows that another
 * window has stored the same draft. Before that, a window asks the others on a channel whether one
 * has opened a draft earlier.
 */

import { translate } from "./language.js";

const getPrefix = () => `charrnn.${document.documentElement.dataset.keep}`;
const SETTINGS = `${getPrefix()}.settings`;
const WINDOW = Math.random().toString(36).slice(2);

/** The named drafts, or the named lists, of this browser. One of them is open in this window. */
export class Collection {
  /** @param {"draft" | "list"} kind  Also the key of the first draft or list. */
  constructor(kind) {
    this.kind = kind;
    this.channel = new BroadcastChannel("charrnn");
    this.openedAt = 0;
    this.reopen();
  }

  /** Open the one that was opened last under the page's present prefix. */
  reopen() {
    const { opened, names } = this.#loadIndex();
    this.#show(opened in names ? opened : Object.keys(names)[0], names);
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
    this.#show(key, this.names);
    this.rename(this.name);
  }

  /** Create one, and open it. */
  create(name) {
    const { names } = this;
    let number = Object.keys(names).length + 1;
    while (`${this.kind}.${number}` in names) number++;
    const key = `${this.kind}.${number}`;
    this.#show(key, { [key]: name ?? this.#makeName(number) });
    this.rename(this.name);
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
    store(this.#place, null);
    const [first] = Object.keys(names);
    if (first) this.open(first);
    else this.create();
  }

  /**
   * Store the content of the open one.
   *
   * @returns {"stored" | "full" | "changed"}  Full: the browser has no room or does not allow it.
   *   Changed: another window has stored it since this one loaded it, and nothing is stored.
   */
  store(content) {
    const stored = load(this.#place);
    if (stored !== null && stored.version !== this.version) return "changed";
    // another window may have deleted it
    if (!(this.key in this.names)) this.rename(this.name);
    const versioned = { version: `${Date.now()}-${WINDOW}`, content };
    if (!store(this.#place, versioned)) return "full";
    this.version = versioned.version;
    return "stored";
  }

  /** Return the content of the open one, or null. */
  load() {
    const stored = load(this.#place);
    this.version = stored?.version;
    return stored?.content ?? null;
  }

  /** Return the content of each one, with its name. */
  loadAll() {
    return Object.entries(this.names).map(([key, name]) =>
      [name, load(`${getPrefix()}.${key}`)?.content ?? null]);
  }

  /** Call `listener` when another window has stored the open one. */
  onStoredElsewhere(listener) {
    window.addEventListener("storage", (event) => {
      if (event.key === this.#place && event.newValue !== null) listener();
    });
  }

  /** Call `listener` if another window has opened the open one earlier, now or when it changes. */
  onOpenElsewhere(listener) {
    this.channel.onmessage = ({ data: { place, openedAt, from, to } }) => {
      if (place !== this.#place) return;
      if (to === WINDOW) listener();
      const isMine = this.openedAt < openedAt || (this.openedAt === openedAt && WINDOW < from);
      if (!to && isMine) this.channel.postMessage({ place, to: from });
    };
    this.#ask();
  }

  /** Show one of these names. */
  #show(key, names) {
    this.key = key;
    this.name = names[key]; // of the open one
    this.version = undefined; // of the open one when it was loaded or stored here
    this.openedAt = Date.now();
    if (this.channel.onmessage) this.#ask();
  }

  /** Ask whether another window has opened the open one earlier. */
  #ask() {
    const { openedAt } = this;
    this.channel.postMessage({ place: this.#place, openedAt, from: WINDOW });
  }

  /** The key of the open one. */
  get #place() {
    return `${getPrefix()}.${this.key}`;
  }

  /** The key of its names and of the key that was opened last. */
  get #index() {
    return `${getPrefix()}.${this.kind}s`;
  }

  #loadIndex() {
    return load(this.#index) ?? { opened: this.kind, names: { [this.kind]: this.#makeName(1) } };
  }

  #makeName(n) {
    return translate(this.kind === "draft" ? "Draft {n}" : "List {n}", { n });
  }
}

/** Return a stored draft as {text, caret}; it is empty if nothing valid is stored. */
export function unpackDraft(content) {
  const { text, caret } = content ?? {};
  return typeof text === "string" ? { text, caret: Number(caret) || 0 } : { text: "", caret: 0 };
}

/** Return the entries of a stored list. */
export const unpackList = (content) => [content ?? []].flat();
export const storeSettings = (settings) => store(SETTINGS, settings);
export const loadSettings = () => load(SETTINGS) ?? {};

/** The mode of a text, "list" or "text"; null before the reader has chosen one. */
export const storeMode = (title, mode) => store(`${getPrefix()}.mode.${title}`, mode);
export const loadMode = (title) => load(`${getPrefix()}.mode.${title}`);

/** Remove all drafts and lists under the page's present prefix. */
export function forget() {
  const isMeant = (key) => key.startsWith(`${getPrefix()}.`);
  for (const key of Object.keys(localStorage).filter(isMeant)) store(key, null);
}

/** Store a value (null: none), and return whether the browser had room and allowed it. */
function store(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false; // the storage is full or switched off
  }
}

function load(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

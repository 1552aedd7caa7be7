/**
 * Store drafts, a list and settings in this browser, so that they survive a reload.
 *
 * Pages that are opened as files may share one storage, so each has a different `data-keep`
 * attribute, which is part of its keys. A text that the page learns has its own, so that each has
 * drafts and a list for itself; the settings stay those of the page.
 *
 * What is stored has a version. A window that finds another version than its own knows that another
 * window has stored the same draft. Before that, a window asks the others on a channel whether one
 * has opened a draft earlier.
 */

import { getTitle } from "./draft.js";
import { translate } from "./language.js";

const getPrefix = () => `charrnn.${document.documentElement.dataset.keep}`;
const SETTINGS = `${getPrefix()}.settings`;
const WINDOW = Math.random().toString(36).slice(2);

/** What is stored under a key, with a version. */
export class Kept {
  /** @param {string} key */
  constructor(key) {
    this.key = key;
    this.version = undefined; // when it was loaded or stored here
  }

  /** Return the content, or null. */
  load() {
    const stored = load(this.place);
    this.version = stored?.version;
    return stored?.content ?? null;
  }

  /**
   * Store a content.
   *
   * @returns {"stored" | "full" | "changed"}  Full: the browser has no room or does not allow it.
   *   Changed: another window has stored it since this one loaded it, and nothing is stored.
   */
  store(content) {
    const stored = load(this.place);
    if (stored !== null && stored.version !== this.version) return "changed";
    const versioned = { version: `${Date.now()}-${WINDOW}`, content };
    if (!store(this.place, versioned)) return "full";
    this.version = versioned.version;
    return "stored";
  }

  /** Call `listener` when another window has stored it. */
  onStoredElsewhere(listener) {
    window.addEventListener("storage", (event) => {
      if (event.key === this.place && event.newValue !== null) listener();
    });
  }

  /** The whole key. */
  get place() {
    return `${getPrefix()}.${this.key}`;
  }
}

/** The drafts of this browser, by number. One of them is open in this window. */
export class Drafts extends Kept {
  constructor() {
    super("draft.1");
    this.channel = new BroadcastChannel("charrnn");
    this.reopen();
  }

  /** Open the draft that was opened last under the page's present prefix. */
  reopen() {
    this.open(Number(load(this.#opened)) || 1);
  }

  /** Return the title of each draft by its number: its first words. */
  listTitles() {
    const numbers = listKeys("draft.").map((key) => Number(key.split(".").at(-1)));
    const sorted = [...new Set([...numbers, this.number])].sort((a, b) => a - b);
    return new Map(sorted.map((number) => {
      const { text } = unpackDraft(load(`${getPrefix()}.draft.${number}`)?.content);
      return [number, getTitle(text) || translate("Draft {n}", { n: number })];
    }));
  }

  /** Open another one. */
  open(number) {
    this.number = number;
    this.key = `draft.${number}`;
    this.version = undefined;
    this.openedAt = Date.now();
    store(this.#opened, number);
    if (this.channel.onmessage) this.#ask();
  }

  /** Open a new one. */
  create() {
    this.open(Math.max(...this.listTitles().keys()) + 1);
  }

  /** Delete the open one, and open another. */
  remove() {
    store(this.place, null);
    const [other] = [...this.listTitles().keys()].filter((number) => number !== this.number);
    this.open(other ?? 1);
  }

  /** Call `listener` if another window has opened the open one earlier, now or when it changes. */
  onOpenElsewhere(listener) {
    this.channel.onmessage = ({ data: { place, openedAt, from, to } }) => {
      if (place !== this.place) return;
      if (to === WINDOW) listener();
      const isMine = this.openedAt < openedAt || (this.openedAt === openedAt && WINDOW < from);
      if (!to && isMine) this.channel.postMessage({ place, to: from });
    };
    this.#ask();
  }

  /** Ask whether another window has opened the open one earlier. */
  #ask() {
    const { place, openedAt } = this;
    this.channel.postMessage({ place, openedAt, from: WINDOW });
  }

  /** The key of the number that was opened last. */
  get #opened() {
    return `${getPrefix()}.opened`;
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

/** Remove all drafts and the list under the page's present prefix. */
export function forget() {
  for (const key of listKeys("")) store(key, null);
}

/** Return the keys under the page's present prefix that continue in a certain way. */
function listKeys(start) {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(`${getPrefix()}.${start}`));
  } catch {
    return []; // the storage is switched off
  }
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

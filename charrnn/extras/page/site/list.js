/** A list of short texts, one on each line. Starred entries stay when the model writes more. */

import { saveFile } from "./files.js";
import { rateLikeness } from "./likeness.js";
import { Collection, unpackList } from "./storage.js";

const MAX_LENGTH = 200; // tokens; a longer line is not an entry
const MAX_BATCH = 50; // texts that are written at the same time
const MIN_BATCH = 10; // texts, even if fewer entries are missing, because some are duplicates
const CANDIDATES = 4; // new entries, for each that is kept, that are compared with the starred ones
const MAX_USELESS = 100; // stop after this many texts without a new entry

const ORDERS = {
  written: () => 0,
  starred: (a, b) => b.isStarred - a.isStarred,
  alphabet: (a, b) => a.text.localeCompare(b.text),
  length: (a, b) => a.text.length - b.text.length,
};

/**
 * @typedef {object} Entry
 * @property {string} text
 * @property {boolean} isStarred
 */

export class List {
  /**
   * @param {HTMLElement} region  Has an `ol` and the field that sorts it.
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  Has `settings`, `say(message)`, `fail(error)` and `showState()`.
   */
  constructor(region, writer, page) {
    this.region = region;
    this.list = region.querySelector("ol");
    this.writer = writer;
    this.page = page;
    this.controller = null; // aborts the running request
    this.collection = new Collection("list");
    this.items = new Map(); // entry -> its element
    region.addEventListener("input", () => this.show());
    this.list.addEventListener("click", ({ target }) => this.#toggleStar(target.closest("button")));
    this.list.addEventListener("keydown", (event) => this.#moveFocus(event));
    this.list.addEventListener("focusin", ({ target }) => this.#setTabStop(target));
  }

  get isBusy() {
    return this.controller !== null;
  }

  /** Show the list that is open in the collection. */
  reopen() {
    this.stop();
    const entries = unpackList(this.collection.load());
    this.items = new Map(entries.map((entry) => [entry, makeItem(entry)]));
    this.show();
    this.page.showState();
  }

  /** @returns {Entry[]} */
  get entries() {
    return [...this.items.keys()];
  }

  /** Write the number of entries in the settings; they replace the entries without a star. */
  async start() {
    if (this.isBusy) return;
    const { entries: wanted, ...request } = this.page.settings.makeListRequest();
    const { signal } = this.controller = new AbortController();
    const oldItems = this.items;
    const newItems = new Map();
    const { likesStarred } = this.page.settings;
    const liked = this.entries.filter((entry) => likesStarred && entry.isStarred)
      .map(({ text }) => text);
    const enough = liked.length ? wanted * CANDIDATES : wanted;
    const leftOut = new Set(); // new texts that are lines of the training text
    let kept = []; // of the new items
    const most = Math.min(MAX_BATCH, this.writer.limits?.n ?? MAX_BATCH);
    this.page.say(`Writing ${wanted} entries …`);
    this.page.showState();
    let failure = null;
    try {
      for (let useless = 0; newItems.size < enough && useless < MAX_USELESS; request.seed++) {
        const n = Math.min(most, Math.max(MIN_BATCH, enough - newItems.size));
        const texts = [...new Set(await this.#writeLines({ ...request, n, signal }))];
        if (signal.aborted) break;
        const trainingLines = await this.writer.findTrainingLines(request.model, texts);
        if (signal.aborted) break;
        const starred = [...oldItems].filter(([{ isStarred }]) => isStarred);
        const seen = new Set([...starred, ...newItems].map(([{ text }]) => text));
        const isKnown = (index) => trainingLines?.has(index);
        for (const text of texts.filter((_, index) => isKnown(index))) leftOut.add(text);
        const unseen = texts.filter((text, index) => !seen.has(text) && !isKnown(index));
        for (const text of unseen.slice(0, enough - newItems.size)) {
          const entry = { text, isStarred: false };
          newItems.set(entry, makeItem(entry));
        }
        useless = unseen.length ? 0 : useless + n;
        kept = liked.length ? selectNearest(newItems, liked, wanted) : [...newItems];
        this.#setItems(new Map([...starred, ...kept]));
      }
    } catch (error) {
      failure = error;
    }
    this.controller = null;
    this.page.showState();
    if (failure) this.page.fail(failure);
    else if (signal.aborted) this.page.say("Stopped.");
    else this.page.say(describe(kept.length, leftOut.size));
  }

  stop() {
    this.controller?.abort();
  }

  clear() {
    this.stop();
    this.#setItems(new Map());
  }

  /** Show the entries in the chosen order. */
  show() {
    const focused = this.list.querySelector(":focus");
    this.list.replaceChildren(...this.#sortEntries().map((entry) => this.items.get(entry)));
    this.region.querySelector("#list-empty").hidden = this.items.size > 0;
    this.#setTabStop(this.list.querySelector("button"));
    focused?.focus({ preventScroll: true }); // replaceChildren removed the focus
  }

  /** Return the entries to save: the starred ones or, without stars, all. */
  selectToSave() {
    const entries = this.#sortEntries();
    const starred = entries.filter(({ isStarred }) => isStarred);
    if (starred.length) return { entries: starred, note: `Starred entries (${starred.length})` };
    return { entries, note: `All entries (${entries.length}): none is starred` };
  }

  get text() {
    return this.selectToSave().entries.map(({ text }) => `${text}\n`).join("");
  }

  saveText() {
    saveFile(`${this.collection.name}.txt`, this.text);
  }

  saveCsv() {
    const rows = this.selectToSave().entries.map(({ text, isStarred }) =>
      [`"${text.replaceAll('"', '""')}"`, isStarred]);
    const lines = [["entry", "starred"], ...rows];
    const text = lines.map((row) => `${row.join(",")}\r\n`).join("");
    saveFile(`${this.collection.name}.csv`, text, "text/csv");
  }

  /** Write texts until their first line break, and return the complete ones. */
  async #writeLines({ prompt, ...request }) {
    const texts = Array(request.n).fill("");
    const options = { ...request, prompt, stop: "\n", max_tokens: MAX_LENGTH, logprobs: null };
    const stopped = await this.writer.complete(options, (index, characters) => {
      for (const { text } of characters) texts[index] += text;
    });
    const lines = texts.filter((_, index) => stopped.has(index));
    return lines.map((text) => (prompt + text).trimEnd()).filter(Boolean);
  }

  #setItems(items) {
    this.items = items;
    this.show();
    this.#store();
  }

  #store() {
    if (this.collection.store(this.entries)) return;
    this.page.fail(new Error("This browser cannot store the list: save it as a file."));
  }

  #sortEntries() {
    return this.entries.toSorted(ORDERS[this.page.settings.order]);
  }

  #toggleStar(button) {
    if (!button) return;
    const [entry] = [...this.items].find(([, item]) => item.contains(button));
    entry.isStarred = !entry.isStarred;
    button.ariaPressed = String(entry.isStarred);
    this.#store();
  }

  /** Move the focus between entries by the arrow keys, Home and End. */
  #moveFocus(event) {
    const buttons = [...this.list.querySelectorAll("button")];
    const columns = buttons.findIndex(({ offsetTop }) => offsetTop > buttons[0].offsetTop);
    const row = columns < 0 ? buttons.length : columns;
    const from = buttons.indexOf(event.target);
    const to = {
      ArrowLeft: from - 1, ArrowRight: from + 1, ArrowUp: from - row, ArrowDown: from + row,
      Home: 0, End: buttons.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons[to]?.focus();
  }

  /** Let the tab key stop at this entry only. */
  #setTabStop(button) {
    for (const old of this.list.querySelectorAll("[tabindex='0']")) old.tabIndex = -1;
    if (button) button.tabIndex = 0;
  }
}

/** @param {Entry} entry */
function makeItem({ text, isStarred }) {
  const item = document.createElement("li");
  const button = item.appendChild(document.createElement("button"));
  button.ariaPressed = String(isStarred);
  button.tabIndex = -1;
  button.appendChild(document.createElement("span")).textContent = text;
  return item;
}

/** Return the items that are most like the liked texts, the most alike first. */
function selectNearest(items, liked, count) {
  const likeness = rateLikeness(liked, [...items.keys()].map(({ text }) => text));
  const rate = ([{ text, isStarred }]) => isStarred * 1e9 + likeness.get(text);
  return [...items].sort((a, b) => rate(b) - rate(a)).slice(0, count);
}

function describe(count, leftOut) {
  const lines = `${leftOut} ${leftOut === 1 ? "line" : "lines"} of the training text left out`;
  return `${count || "No"} entries${leftOut ? `; ${lines}` : ""}`;
}

/** A list of short texts, a line each. The good ones are starred, and stay when more are written. */

import { saveFile } from "./files.js";
import { keepList, keptList } from "./keeping.js";

const LONGEST = 200; // bytes of an entry: a line that is longer is none
const TOGETHER = 50; // entries that are written at the same time, at most
const LEAST = 10; // and at least, as some will be there already
const USELESS = 100; // texts in a row without a new entry, after which the model has no more

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
 * @property {boolean | null} inText  Whether it is a line of the training text; null: who knows.
 */

export class List {
  /**
   * @param {HTMLElement} region  Holds an `ol`, and what says how it is shown.
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  Its `settings`, `say(message)`, `fail(error)` and `showState()`.
   */
  constructor(region, writer, page) {
    this.region = region;
    this.list = region.querySelector("ol");
    this.writer = writer;
    this.page = page;
    this.controller = null; // stops what is being written
    this.items = new Map(keptList().map((entry) => [entry, itemOf(entry)]));
    region.addEventListener("input", () => this.show());
    this.list.addEventListener("click", ({ target }) => this.#star(target.closest("button")));
    this.list.addEventListener("keydown", (event) => this.#move(event));
    this.list.addEventListener("focusin", ({ target }) => this.#reach(target));
  }

  get busy() {
    return this.controller !== null;
  }

  /** @returns {Entry[]} */
  get entries() {
    return [...this.items.keys()];
  }

  /** Write as many entries as the settings say, in place of those that have no star. */
  async start() {
    if (this.busy) return;
    const { entries: wanted, ...request } = this.page.settings.listRequest();
    const { signal } = this.controller = new AbortController();
    const before = this.items;
    const made = new Map();
    this.page.say(`Writing ${wanted} entries …`);
    this.page.showState();
    let failure = null;
    try {
      for (let useless = 0; made.size < wanted && useless < USELESS; request.seed++) {
        const n = Math.min(TOGETHER, Math.max(LEAST, wanted - made.size));
        const texts = [...new Set(await this.#written({ ...request, n, signal }))];
        if (signal.aborted) break;
        const known = await this.writer.inText(request.model, texts);
        if (signal.aborted) break;
        const stay = [...before].filter(([{ isStarred }]) => isStarred);
        const seen = new Set([...stay, ...made].map(([{ text }]) => text));
        const fresh = [...texts.entries()].filter(([, text]) => !seen.has(text));
        for (const [number, text] of fresh.slice(0, wanted - made.size)) {
          const entry = { text, isStarred: false, inText: known && known.has(number) };
          made.set(entry, itemOf(entry));
        }
        useless = fresh.length ? 0 : useless + n;
        this.#set(new Map([...stay, ...made]));
      }
    } catch (error) {
      failure = error;
    }
    this.controller = null;
    this.page.showState();
    if (failure) this.page.fail(failure);
    else if (signal.aborted) this.page.say("Stopped.");
    else this.page.say(told(made));
  }

  stop() {
    this.controller?.abort();
  }

  clear() {
    this.stop();
    this.#set(new Map());
  }

  /** Show what is to be shown, in its order. */
  show() {
    const shown = this.#shown();
    const held = this.list.querySelector(":focus");
    this.list.replaceChildren(...shown.map((entry) => this.items.get(entry)));
    this.region.querySelector("#list-empty").hidden = this.items.size > 0;
    this.#reach(this.list.querySelector("button"));
    held?.focus({ preventScroll: true }); // which it lost when it was moved
  }

  /** Those that are saved: the starred ones, or where there are none all that are new. */
  chosen() {
    const shown = this.#shown();
    const starred = shown.filter(({ isStarred }) => isStarred);
    if (starred.length) return { entries: starred, told: `The starred entries (${starred.length})` };
    const entries = shown.filter(({ inText }) => !inText);
    const which = entries.length < shown.length ? "All new entries" : "All entries";
    return { entries, told: `${which} (${entries.length}), as none has a star` };
  }

  get text() {
    return this.chosen().entries.map(({ text }) => `${text}\n`).join("");
  }

  save() {
    saveFile("list.txt", this.text);
  }

  saveCsv() {
    const rows = this.chosen().entries.map(({ text, isStarred, inText }) =>
      [`"${text.replaceAll('"', '""')}"`, isStarred, inText ?? ""]);
    const lines = [["entry", "starred", "in the training text"], ...rows];
    saveFile("list.csv", lines.map((row) => `${row.join(",")}\r\n`).join(""), "text/csv");
  }

  /** Lines of so many texts that came to an end. */
  async #written({ prompt, ...request }) {
    const texts = Array(request.n).fill("");
    const how = { ...request, prompt, stop: "\n", max_tokens: LONGEST, logprobs: null };
    await this.writer.complete(how, (index, characters) => {
      for (const { text } of characters) texts[index] += text;
    });
    const isWhole = (text) => new TextEncoder().encode(text).length < LONGEST;
    return texts.filter(isWhole).map((text) => (prompt + text).trimEnd()).filter(Boolean);
  }

  #set(items) {
    this.items = items;
    this.show();
    this.#keep();
  }

  #keep() {
    if (keepList(this.entries)) return;
    this.page.fail(new Error("This browser does not keep the list: save it as a file."));
  }

  #shown() {
    const { order, hidesKnown } = this.page.settings;
    return this.entries.filter(({ inText }) => !(inText && hidesKnown)).toSorted(ORDERS[order]);
  }

  #star(button) {
    if (!button) return;
    const [entry] = [...this.items].find(([, item]) => item.contains(button));
    entry.isStarred = !entry.isStarred;
    button.ariaPressed = String(entry.isStarred);
    this.#keep();
  }

  /** By arrows, Home and End from one entry to another. */
  #move(event) {
    const buttons = [...this.list.querySelectorAll("button")];
    const columns = buttons.findIndex(({ offsetTop }) => offsetTop > buttons[0].offsetTop);
    const row = columns < 0 ? buttons.length : columns;
    const at = buttons.indexOf(event.target);
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - row, ArrowDown: at + row,
      Home: 0, End: buttons.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons[to]?.focus();
  }

  /** The tab key reaches one entry only. */
  #reach(button) {
    for (const one of this.list.querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
    if (button) button.tabIndex = 0;
  }
}

/** @param {Entry} entry */
function itemOf({ text, isStarred, inText }) {
  const item = document.createElement("li");
  const button = item.appendChild(document.createElement("button"));
  button.ariaPressed = String(isStarred);
  button.tabIndex = -1;
  button.appendChild(document.createElement(inText ? "s" : "span")).textContent = text;
  if (inText) {
    const note = button.appendChild(document.createElement("span"));
    note.className = "hidden";
    note.textContent = ", which the training text has";
  }
  return item;
}

function told(made) {
  const entries = [...made.keys()];
  const known = entries.filter(({ inText }) => inText).length;
  if (!entries.length) return "The model wrote no entry.";
  const of = known ? `, ${known} of them lines of the training text` : "";
  return `${entries.length} entries${of}`;
}

/** A list of short texts, one on each line. Starred entries stay when the model writes more. */

import { translate } from "./language.js";
import { Kept, unpackList } from "./storage.js";

const MAX_LENGTH = 200; // characters; a longer line is not an entry
const MAX_BATCH = 50; // texts that are written at the same time
const MIN_BATCH = 10; // texts, even if fewer entries are missing, because some are duplicates
const MAX_USELESS = 100; // stop after this many texts without a new entry

/**
 * @typedef {object} Entry
 * @property {string} text
 * @property {boolean} isStarred
 */

export class List {
  /**
   * @param {HTMLElement} region  Has an `ol`.
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  Has `settings`, `say(message)`, `warn(message)`, `fail(error)` and
   *   `showState()`.
   */
  constructor(region, writer, page) {
    this.region = region;
    this.list = region.querySelector("ol");
    this.writer = writer;
    this.page = page;
    this.controller = null; // aborts the running request
    this.kept = new Kept("list");
    this.items = new Map(); // entry -> its element
    this.list.addEventListener("input", ({ target }) => this.#star(target));
    this.kept.onStoredElsewhere(() => this.isBusy || this.reopen());
  }

  get isBusy() {
    return this.controller !== null;
  }

  /** Show the list that is stored. */
  reopen() {
    this.stop();
    this.#show(unpackList(this.kept.load()));
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
    const old = this.entries;
    const added = [];
    const leftOut = new Set(); // new texts that are lines of the training text
    this.page.say(translate("Writing …"));
    this.page.showState();
    let failure = null;
    try {
      for (let useless = 0; added.length < wanted && useless < MAX_USELESS; request.seed++) {
        const n = Math.min(MAX_BATCH, Math.max(MIN_BATCH, wanted - added.length));
        const texts = [...new Set(await this.#writeLines({ ...request, n, signal }))];
        if (signal.aborted) break;
        const known = new Set(await this.writer.call("findTrainingLines", texts));
        if (signal.aborted) break;
        const starred = old.filter(({ isStarred }) => isStarred);
        const seen = new Set([...starred, ...added].map(({ text }) => text));
        for (const index of known) leftOut.add(texts[index]);
        const unseen = texts.filter((text, index) => !seen.has(text) && !known.has(index));
        const kept = unseen.slice(0, wanted - added.length);
        added.push(...kept.map((text) => ({ text, isStarred: false })));
        useless = unseen.length ? 0 : useless + n;
        this.#set([...starred, ...added]);
      }
    } catch (error) {
      failure = error;
    }
    this.controller = null;
    this.page.showState();
    if (failure) this.page.fail(failure);
    else if (signal.aborted) this.page.say(translate("Stopped."));
    else this.page.say(describe(added.length, leftOut.size));
  }

  stop() {
    this.controller?.abort();
  }

  clear() {
    this.stop();
    this.#set([]);
  }

  /** The starred entries or, without stars, all, each on a line. */
  get text() {
    const starred = this.entries.filter(({ isStarred }) => isStarred);
    const saved = starred.length ? starred : this.entries;
    return saved.map(({ text }) => `${text}\n`).join("");
  }

  /** Write texts until their first line break, and return the complete ones. */
  async #writeLines({ prompt, ...request }) {
    const options = { ...request, prompt, stop: "\n", max_tokens: MAX_LENGTH };
    const { texts, ended } = await this.writer.complete(options);
    const lines = texts.filter((_, index) => ended.has(index));
    return lines.map((text) => (prompt + text).trimEnd()).filter(Boolean);
  }

  /** Show entries. Those that stay keep their elements. */
  #show(entries) {
    const focused = this.list.querySelector(":focus");
    this.items = new Map(entries.map((entry) => [entry, this.items.get(entry) ?? makeItem(entry)]));
    this.list.replaceChildren(...this.items.values());
    this.region.querySelector("#list-empty").hidden = entries.length > 0;
    focused?.focus({ preventScroll: true }); // replaceChildren removed the focus
  }

  /** Show and store entries. */
  #set(entries) {
    this.#show(entries);
    this.#store();
  }

  /** Store the entries, with those that another window has starred in the meantime. */
  #store() {
    const { kept, entries } = this;
    let result = kept.store(entries);
    if (result === "changed") {
      const own = new Set(entries.map(({ text }) => text));
      const others = unpackList(kept.load()).filter(({ text, isStarred }) =>
        isStarred && !own.has(text));
      this.#show([...others, ...entries]);
      result = kept.store(this.entries);
    }
    const isFull = result === "full";
    this.page.warn(isFull ? "This browser cannot store the list: save it as a file." : "");
  }

  #star(field) {
    const [entry] = [...this.items].find(([, item]) => item.contains(field));
    entry.isStarred = field.checked;
    this.#store();
  }
}

/** @param {Entry} entry */
function makeItem({ text, isStarred }) {
  const item = document.createElement("li");
  const label = item.appendChild(document.createElement("label"));
  const field = label.appendChild(document.createElement("input"));
  field.type = "checkbox";
  field.checked = isStarred;
  label.append(text);
  return item;
}

function describe(n, lines) {
  const sentence = lines ? "{n} entries; lines of the training text left out: {lines}" : "{n} entries";
  return translate(sentence, { n, lines });
}

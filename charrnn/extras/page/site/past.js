/** The earlier texts of a draft: its copies, and continuations that the reader has not taken. */

import { describeLength } from "./length-count.js";
import { packDraft, unpackDraft } from "./storage.js";

const LONGEST_END = 30; // characters of a copy that its button shows
const LISTS = {
  copies: { maxEntries: 5, maxCharacters: 500_000 },
  "not-taken": { maxEntries: 20, maxCharacters: 50_000 },
};

export class Past {
  /**
   * @param {HTMLElement} panel  A popover with an `ol` for each of LISTS, and a `p` without any.
   * @param {object} page  Has `draft`, `drafts`, `offer(passages)` and `restore(passage)`.
   */
  constructor(panel, page) {
    this.panel = panel;
    this.page = page;
    panel.addEventListener("beforetoggle", () => this.#show());
    panel.addEventListener("toggle", () => panel.querySelector("button")?.focus());
  }

  /** Keep a copy of the draft, which the reader may change. */
  addCopy() {
    this.#add("copies", [this.page.draft.passage].filter(({ length }) => length));
  }

  /** Keep continuations, of which the reader may take one. */
  addOffered(passages) {
    this.#add("not-taken", passages.filter(({ length }) => length));
  }

  /** Forget a continuation that the reader has taken. */
  removeTaken({ text }) {
    const entries = this.#load("not-taken");
    if (!entries.length) return;
    const left = entries.map(({ time, texts }) =>
      ({ time, texts: texts.filter((packed) => packed.text !== text) }));
    this.#store("not-taken", left.filter(({ texts }) => texts.length));
  }

  #load(name) {
    return this.page.drafts.loadExtra(name) ?? [];
  }

  #add(name, passages) {
    const entries = this.#load(name);
    const join = (texts) => texts?.map(({ text }) => text).join("\n");
    if (!passages.length || join(passages) === join(entries[0]?.texts)) return;
    const texts = passages.map((passage) => packDraft(passage));
    this.#store(name, [{ time: Date.now(), texts }, ...entries]);
  }

  /** Store the newest entries for which there is room. */
  #store(name, entries) {
    const { maxEntries, maxCharacters } = LISTS[name];
    let characters = 0;
    const kept = entries.slice(0, maxEntries).filter(({ texts }, index) => {
      for (const { text } of texts) characters += text.length;
      return index === 0 || characters <= maxCharacters;
    });
    this.page.drafts.storeExtra(name, kept);
  }

  #show() {
    const { page } = this;
    const describe = (text) => `${describeLength(text)} · … ${text.trim().slice(-LONGEST_END)}`;
    const copies = this.#makeItems("copies", describe, ([copy]) => page.restore(copy));
    const offered = this.#makeItems("not-taken", String, (passages) => page.offer(passages));
    this.panel.querySelector("#copies").replaceChildren(...copies);
    this.panel.querySelector("#not-taken").replaceChildren(...offered);
    this.panel.querySelector("p").hidden = copies.length + offered.length > 0;
  }

  #makeItems(name, describe, choose) {
    return this.#load(name).map(({ time, texts }) =>
      this.#makeItem(time, describe(texts[0].text), () =>
        choose(texts.map((packed) => unpackDraft(packed).passage))));
  }

  #makeItem(time, description, choose) {
    const item = document.createElement("li");
    const button = item.appendChild(document.createElement("button"));
    button.className = "quiet";
    button.textContent = `${formatTime(time)} · ${description.trim()}`;
    button.addEventListener("click", () => {
      this.panel.hidePopover();
      choose();
    });
    return item;
  }
}

function formatTime(time) {
  return new Date(time).toLocaleString("en", {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
}

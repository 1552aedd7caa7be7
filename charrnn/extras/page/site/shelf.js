/** The side list of drafts, or of lists: open, create, rename and delete them. */

import { translate } from "./language.js";
import { unpackDraft, unpackList } from "./storage.js";

export class Shelf {
  /**
   * @param {HTMLElement} region  Has an `ol`, a field for the name, buttons and a file field.
   * @param {object} page  Has `drafts`, `list`, `collection` (of the active mode), `store()`,
   *   `reopenDraft()`, `focusText()`, `say(message)` and `fail(error)`.
   */
  constructor(region, page) {
    this.page = page;
    this.list = region.querySelector("ol");
    this.nameField = region.querySelector("#shelf-name");
    const onClick = (id, act) => region.querySelector(id).addEventListener("click", act);
    this.list.addEventListener("click", ({ target }) => {
      const { key } = target.closest("button")?.dataset ?? {};
      if (key) this.#change((collection) => collection.open(key));
    });
    this.nameField.addEventListener("change", () => this.#rename(this.nameField.value.trim()));
    onClick("#shelf-new", () => this.#change((collection) => collection.create()));
    onClick("#shelf-delete", () => this.#remove());
    region.addEventListener("toggle", () => page.showState());
  }

  /** Show the names of the collection. */
  show() {
    const { names, key, name } = this.page.collection;
    document.querySelector("#open-name").textContent = name;
    this.nameField.value = name;
    this.list.replaceChildren(...Object.entries({ ...names, [key]: name }).map(([each, title]) => {
      const item = document.createElement("li");
      const button = item.appendChild(document.createElement("button"));
      button.className = "quiet";
      button.textContent = title;
      button.dataset.key = each;
      if (each === key) button.setAttribute("aria-current", "true");
      return item;
    }));
  }

  /** Store what is shown, change the collection, and show what is open then. */
  #change(act) {
    if (!this.page.store()) return;
    act(this.page.collection);
    this.#reopen();
  }

  #reopen() {
    const { page } = this;
    if (page.collection === page.drafts) page.reopenDraft();
    else page.list.reopen();
    this.show();
    page.focusText();
  }

  #rename(name) {
    if (name) this.page.collection.rename(name);
    this.show();
  }

  #remove() {
    const { collection } = this.page;
    const { name } = collection;
    if (!confirm(translate("Delete “{name}”? This cannot be undone.", { name }))) return;
    collection.remove();
    this.#reopen();
  }

  /** Return all stored drafts and lists, for a file. */
  pack() {
    const { drafts, list: { collection: lists } } = this.page;
    const toDraft = ([name, content]) => ({ name, text: unpackDraft(content).text });
    const toList = ([name, content]) => ({ name, entries: unpackList(content) });
    return { drafts: drafts.loadAll().map(toDraft), lists: lists.loadAll().map(toList) };
  }

  /**
   * Add the drafts and lists that a file was saved with, and open the last of each. Those that this
   * browser has stored are newer.
   */
  addIfNew({ drafts, lists }) {
    const { drafts: ownDrafts, list: { collection } } = this.page;
    if (ownDrafts.isNew) for (const { name, text } of drafts) add(ownDrafts, name, { text, caret: 0 });
    if (collection.isNew) for (const { name, entries } of lists) add(collection, name, entries);
    this.page.reopenDraft();
    this.page.list.reopen();
    this.show();
  }
}

function add(collection, name, content) {
  if (collection.isNew) collection.rename(name);
  else collection.create(name);
  collection.store(content);
}

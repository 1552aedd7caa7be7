/** The side list of drafts, or of lists: open, create, rename, delete, export and import them. */

import { collectionsToJson, readCollections, saveFile } from "./files.js";
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
    onClick("#shelf-export", () => {
      if (this.page.store()) saveFile("charrnn.json", this.toJson(), "application/json");
    });
    onClick("#shelf-import", () => region.querySelector("#file").click());
    region.querySelector("#file").addEventListener("change", ({ target }) => this.#import(target));
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

  /** Return all stored drafts and lists as JSON. */
  toJson() {
    const { drafts, list: { collection: lists } } = this.page;
    const toDraft = ([name, content]) => ({ name, text: unpackDraft(content).text });
    const toList = ([name, content]) => ({ name, entries: unpackList(content) });
    return collectionsToJson(drafts.loadAll().map(toDraft), lists.loadAll().map(toList));
  }

  /** Add the drafts and lists of a file; the last of each is open then. */
  async #import(field) {
    const [file] = field.files;
    field.value = ""; // so that the same file can be imported again
    try {
      const { drafts, lists } = await readCollections(file);
      if (!this.page.store()) return;
      this.add({ drafts, lists });
      const values = { drafts: drafts.length, lists: lists.length };
      this.page.say(translate("Imported {drafts} drafts and {lists} lists.", values));
    } catch (error) {
      this.page.fail(error);
    }
  }

  /** Add drafts and lists, and open the last of each. */
  add({ drafts, lists }) {
    for (const { name, text } of drafts) this.#add(this.page.drafts, name, { text, caret: 0 });
    for (const { name, entries } of lists) this.#add(this.page.list.collection, name, entries);
    this.page.reopenDraft();
    this.page.list.reopen();
    this.show();
  }

  /** Add those that a file was saved with, unless this browser has stored some, which are newer. */
  addIfNew({ drafts, lists }) {
    const { drafts: ownDrafts, list: { collection } } = this.page;
    this.add({ drafts: ownDrafts.isNew ? drafts : [], lists: collection.isNew ? lists : [] });
  }

  #add(collection, name, content) {
    if (collection.isNew) collection.rename(name);
    else collection.create(name);
    if (collection.store(content) === "stored") return;
    collection.remove();
    throw new Error(translate("This browser has no room for the file."));
  }
}

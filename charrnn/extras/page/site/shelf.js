/** The side list of drafts: open, create, rename and delete them. */

import { translate } from "./language.js";

export class Shelf {
  /**
   * @param {HTMLElement} region  Has an `ol`, a field for the name, and buttons.
   * @param {object} page  Has `drafts`, `store()`, `reopenDraft()`, `focusText()` and `showState()`.
   */
  constructor(region, page) {
    this.page = page;
    this.list = region.querySelector("ol");
    this.nameField = region.querySelector("#shelf-name");
    const onClick = (id, act) => region.querySelector(id).addEventListener("click", act);
    this.list.addEventListener("click", ({ target }) => {
      const { key } = target.closest("button")?.dataset ?? {};
      if (key) this.#change((drafts) => drafts.open(key));
    });
    this.nameField.addEventListener("change", () => this.#rename(this.nameField.value.trim()));
    onClick("#shelf-new", () => this.#change((drafts) => drafts.create()));
    onClick("#shelf-delete", () => this.#remove());
    region.addEventListener("toggle", () => page.showState());
  }

  /** Show the names of the drafts. */
  show() {
    const { names, key, name } = this.page.drafts;
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

  /** Store what is shown, change the drafts, and show the one that is open then. */
  #change(act) {
    if (!this.page.store()) return;
    act(this.page.drafts);
    this.#reopen();
  }

  #reopen() {
    this.page.reopenDraft();
    this.show();
    this.page.focusText();
  }

  #rename(name) {
    if (name) this.page.drafts.rename(name);
    this.show();
  }

  #remove() {
    const { drafts } = this.page;
    const { name } = drafts;
    if (!confirm(translate("Delete “{name}”? This cannot be undone.", { name }))) return;
    drafts.remove();
    this.#reopen();
  }
}

/** The side list of drafts: open, create and delete them. */

import { translate } from "./language.js";

export class Shelf {
  /**
   * @param {HTMLElement} region  A popover with an `ol` and buttons.
   * @param {object} page  Has `drafts`, `store()`, `reopenDraft()`, `focusText()` and `showState()`.
   */
  constructor(region, page) {
    this.page = page;
    this.list = region.querySelector("ol");
    const onClick = (id, act) => region.querySelector(id).addEventListener("click", act);
    this.list.addEventListener("click", ({ target }) => {
      const { number } = target.closest("button")?.dataset ?? {};
      if (number) this.#change((drafts) => drafts.open(Number(number)));
    });
    onClick("#shelf-new", () => this.#change((drafts) => drafts.create()));
    onClick("#shelf-delete", () => this.#remove());
    region.addEventListener("beforetoggle", () => this.#show());
  }

  /** Show the titles of the drafts. */
  #show() {
    const { page } = this;
    page.store();
    page.showState();
    this.list.replaceChildren(...[...page.drafts.listTitles()].map(([number, title]) => {
      const item = document.createElement("li");
      const button = item.appendChild(document.createElement("button"));
      button.className = "quiet";
      button.textContent = title;
      button.dataset.number = number;
      if (number === page.drafts.number) button.setAttribute("aria-current", "true");
      return item;
    }));
  }

  /** Store what is shown, change the drafts, and show the one that is open then. */
  #change(act) {
    const { page } = this;
    if (!page.store()) return;
    act(page.drafts);
    page.reopenDraft();
    page.focusText();
  }

  #remove() {
    const { drafts } = this.page;
    const name = drafts.listTitles().get(drafts.number);
    if (!confirm(translate("Delete “{name}”? This cannot be undone.", { name }))) return;
    this.page.isUnsaved = false;
    this.#change(() => drafts.remove());
  }
}

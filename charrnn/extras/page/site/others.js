/** The likeliest other characters at a place of the text; the text branches where one is chosen. */

import { promptBefore } from "./continuing.js";

const SHOWN = 8; // others, at most
const GAP = 6; // pixels between the character and what is shown of it

export class Others {
  /**
   * @param {HTMLElement} panel  A popover that holds a `p` and a `ul`.
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  The `draft`, `editor` and `settings` of the page, and its
   *   `branch(place, character)`.
   */
  constructor(panel, writer, page) {
    this.panel = panel;
    this.writer = writer;
    this.page = page;
    this.title = panel.querySelector("p");
    this.list = panel.querySelector("ul");
    page.draft.onChange(() => this.close());
    panel.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) this.#focus(step);
      if (step) event.preventDefault();
    });
  }

  close() {
    this.panel.hidePopover();
  }

  /**
   * Show what could stand at a place.
   *
   * @param {boolean} byKey  Whether the first of them gets the focus.
   */
  async open(place, byKey) {
    const { draft, editor, settings } = this.page;
    const { text } = draft;
    place -= /[\udc00-\udfff]/.test(text[place] ?? "") ? 1 : 0; // the second half of an emoji
    if (place < 0 || place >= text.length) return;
    const before = promptBefore(text, place);
    const likeliest = await this.writer.likeliest(settings.chosenModel, before);
    if (draft.text !== text || likeliest.length === 0) return;
    const stands = String.fromCodePoint(text.codePointAt(place));
    const chance = likeliest.find((character) => character.text === stands);
    const bits = draft.marks(place, place + 1).bits[0];
    const share = chance ? Math.exp(chance.logprob) : 2 ** -bits;
    this.title.textContent = isNaN(share)
      ? `${named(stands)} was unlikely here`
      : `${named(stands)} was ${percent(share)} likely`;
    const others = likeliest.filter((character) => character !== chance).slice(0, SHOWN);
    this.list.replaceChildren(...others.map((character) => this.#item(place, character)));
    this.panel.showPopover();
    this.#put(editor.mirror.rectangle(place));
    if (byKey) this.#focus(1);
  }

  #item(place, character) {
    const item = document.createElement("li");
    const button = item.appendChild(document.createElement("button"));
    const [name, bar, told] = ["b", "i", "span"].map((tag) =>
      button.appendChild(document.createElement(tag)));
    const share = Math.exp(character.logprob);
    button.className = "quiet";
    name.textContent = named(character.text);
    told.textContent = percent(share);
    bar.appendChild(document.createElement("i")).style.width = `${100 * share}%`;
    button.addEventListener("click", () => {
      this.close();
      this.page.branch(place, character);
    });
    return item;
  }

  #focus(step) {
    const buttons = [...this.list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement) + step;
    buttons.at(at % buttons.length)?.focus();
  }

  /** Below the character, or above it where there is no room. */
  #put({ left, top, bottom }) {
    const { offsetWidth: width, offsetHeight: height, style } = this.panel;
    const { clientWidth, clientHeight } = document.documentElement;
    const isBelow = bottom + GAP + height <= clientHeight || top < height + GAP;
    const edge = isBelow ? Math.min(bottom + GAP, clientHeight - height) : top - GAP - height;
    style.left = `${Math.max(GAP, Math.min(left, clientWidth - width - GAP))}px`;
    style.top = `${Math.max(GAP, edge)}px`;
  }
}

export const NAMES = { " ": "blank", "\n": "line break", "\t": "tab" };

/** A character as it is told. */
export function named(character) {
  return NAMES[character] ?? `“${character}”`;
}

/** A probability as it is told. */
export function percent(share) {
  const hundredths = 100 * share;
  return `${hundredths >= 10 ? hundredths.toFixed(0) : Number(hundredths.toPrecision(2))} %`;
}

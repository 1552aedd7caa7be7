/** A menu of the likeliest characters at a place; the text branches at the chosen character. */

import { selectPrompt } from "./generation.js";

const MAX_SHOWN = 8; // characters in the menu
const GAP = 6; // pixels between the character and the menu

export class CharacterMenu {
  /**
   * @param {HTMLElement} panel  A popover with a `p` and a `ul`.
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  Has `draft`, `editor`, `settings` and `branch(place, character)`.
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
      if (step) this.#moveFocus(step);
      if (step) event.preventDefault();
    });
  }

  close() {
    this.panel.hidePopover();
  }

  /**
   * Show the menu for the character at a place.
   *
   * @param {boolean} byKey  Whether to focus the first entry.
   */
  async open(place, byKey) {
    const { draft, editor, settings } = this.page;
    const { text } = draft;
    place -= /[\udc00-\udfff]/.test(text[place] ?? "") ? 1 : 0; // the second half of an emoji
    if (place < 0 || place >= text.length) return;
    const prompt = selectPrompt(text, place);
    const likeliest = await this.writer.findLikeliest(settings.chosenModel, prompt);
    if (draft.text !== text || likeliest.length === 0) return;
    const current = String.fromCodePoint(text.codePointAt(place));
    const listed = likeliest.find((character) => character.text === current);
    const bits = draft.getMarks(place, place + 1).bits[0];
    const probability = listed ? Math.exp(listed.logprob) : 2 ** -bits;
    this.title.textContent = isNaN(probability)
      ? `${nameCharacter(current)} was unlikely here`
      : `${nameCharacter(current)} was ${formatPercent(probability)} likely`;
    const others = likeliest.filter((character) => character !== listed).slice(0, MAX_SHOWN);
    this.list.replaceChildren(...others.map((character) => this.#makeItem(place, character)));
    this.panel.showPopover();
    this.#moveTo(editor.mirror.findBox(place));
    if (byKey) this.#moveFocus(1);
  }

  #makeItem(place, character) {
    const item = document.createElement("li");
    const button = item.appendChild(document.createElement("button"));
    const [name, bar, percent] = ["b", "i", "span"].map((tag) =>
      button.appendChild(document.createElement(tag)));
    const probability = Math.exp(character.logprob);
    button.className = "quiet";
    name.textContent = nameCharacter(character.text);
    percent.textContent = formatPercent(probability);
    bar.appendChild(document.createElement("i")).style.width = `${100 * probability}%`;
    button.addEventListener("click", () => {
      this.close();
      this.page.branch(place, character);
    });
    return item;
  }

  #moveFocus(step) {
    const buttons = [...this.list.querySelectorAll("button")];
    const index = buttons.indexOf(document.activeElement) + step;
    buttons.at(index % buttons.length)?.focus();
  }

  /** Move the menu below the character, or above it if there is no room below. */
  #moveTo({ left, top, bottom }) {
    const { offsetWidth: width, offsetHeight: height, style } = this.panel;
    const { clientWidth, clientHeight } = document.documentElement;
    const isBelow = bottom + GAP + height <= clientHeight || top < height + GAP;
    const edge = isBelow ? Math.min(bottom + GAP, clientHeight - height) : top - GAP - height;
    style.left = `${Math.max(GAP, Math.min(left, clientWidth - width - GAP))}px`;
    style.top = `${Math.max(GAP, edge)}px`;
  }
}

export const NAMES = { " ": "space", "\n": "line break", "\t": "tab" };

/** Return a character as the page shows it. */
export function nameCharacter(character) {
  return NAMES[character] ?? `“${character}”`;
}

/** Return a probability as the page shows it. */
export function formatPercent(probability) {
  const percent = 100 * probability;
  return `${percent >= 10 ? percent.toFixed(0) : Number(percent.toPrecision(2))} %`;
}

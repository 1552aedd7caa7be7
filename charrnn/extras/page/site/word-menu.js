/** A menu of the likeliest words at a place, of which one replaces the word there. */

import { translate } from "./language.js";
import { selectBefore } from "./prompt.js";
import { findWordPlace, isWordEnd } from "./word-place.js";

const MAX_SHOWN = 8; // words in the menu
const GAP = 6; // pixels between the character and the menu

export class WordMenu {
  /**
   * @param {HTMLElement} panel  A popover with a `p` and a `ul`.
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  Has `draft`, `editor` and `settings`.
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
   * Show the likeliest whole words for the place of a character.
   *
   * @param {boolean} byKey  Whether to focus the first entry.
   */
  async open(place, byKey) {
    const { draft, editor } = this.page;
    const { text } = draft;
    if (place < 0 || place >= text.length) return;
    const [from, to] = findWordPlace(text, place);
    const prompt = selectBefore(text, from);
    const found = await this.writer.call("findNextWords", prompt);
    // ends of the word before the place are no whole words
    const words = found.filter((word) => !isWordEnd(prompt, word.text));
    if (draft.text !== text || words.length === 0) return;
    const current = text.slice(from, to);
    const listed = words.find((word) => word.text === current);
    const sentence = listed ? "{word} was {percent} likely" : "{word} was unlikely here";
    const percent = formatPercent(Math.exp(listed?.logprob));
    this.title.textContent = translate(sentence, { word: nameText(current), percent });
    if (current === " ") this.title.textContent = translate("The next word"); // at the end
    const others = words.filter((word) => word !== listed).slice(0, MAX_SHOWN);
    this.list.replaceChildren(...others.map((word) =>
      this.#makeItem(nameText(word.text), word, () => editor.insert(from, to, word.text))));
    this.panel.showPopover();
    this.#moveTo(editor.findBox(place));
    if (byKey) this.#moveFocus(1);
  }

  #makeItem(name, { logprob }, choose) {
    const item = document.createElement("li");
    const button = item.appendChild(document.createElement("button"));
    const [label, bar, percent] = ["b", "i", "span"].map((tag) =>
      button.appendChild(document.createElement(tag)));
    const probability = Math.exp(logprob);
    button.className = "quiet";
    label.textContent = name;
    percent.textContent = formatPercent(probability);
    bar.appendChild(document.createElement("i")).style.width = `${100 * probability}%`;
    button.addEventListener("click", () => {
      this.close();
      choose();
    });
    return item;
  }

  #moveFocus(step) {
    const buttons = [...this.panel.querySelectorAll("button:not([hidden])")];
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

const NAMES = { " ": "space", "\n": "line break", "\t": "tab" };

/** Return a character, or a word without the blank before it, as the page shows it. */
function nameText(text) {
  const shown = text.trim() || text.at(-1);
  return shown in NAMES ? translate(NAMES[shown]) : `“${shown}”`;
}

/** Return a probability as the page shows it. */
function formatPercent(probability) {
  const percent = 100 * probability;
  return `${percent >= 10 ? percent.toFixed(0) : Number(percent.toPrecision(2))} %`;
}

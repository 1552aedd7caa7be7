/** A menu of the likeliest words or characters at a place; the text branches at the chosen one. */

import { makePrompt } from "./prompt.js";
import { findWordPlace, isWordEnd } from "./word-place.js";

const MAX_SHOWN = 8; // words or characters in the menu
const GAP = 6; // pixels between the character and the menu

export class CharacterMenu {
  /**
   * @param {HTMLElement} panel  A popover with a `p`, a `ul` and a button that changes the unit.
   * @param {import("./writer.js").Writer} writer
   * @param {object} page  Has `draft`, `editor`, `settings`, `branch(start, end, choice)`
   *   and `reportFailure(promise)`.
   */
  constructor(panel, writer, page) {
    this.panel = panel;
    this.writer = writer;
    this.page = page;
    this.place = 0; // of the character for which the menu is open
    this.offersWords = false; // and not characters
    this.title = panel.querySelector("p");
    this.list = panel.querySelector("ul");
    this.change = panel.querySelector("ul ~ button");
    this.change.addEventListener("click", () => {
      this.offersWords = !this.offersWords;
      page.reportFailure(this.#show());
    });
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
   * Show the words for the place of a character; if the model knows no words, the characters.
   *
   * @param {boolean} byKey  Whether to focus the first entry.
   */
  async open(place, byKey) {
    const { draft: { text }, settings } = this.page;
    place -= /[\udc00-\udfff]/.test(text[place] ?? "") ? 1 : 0; // the second half of an emoji
    if (place < 0 || place >= text.length) return;
    this.place = place;
    this.offersWords = settings.knowsWords;
    if (await this.#show() && byKey) this.#moveFocus(1);
  }

  /** Show what is likeliest at the place. Return whether there is something to show. */
  async #show() {
    const { draft, editor, settings } = this.page;
    const { place, writer, offersWords } = this;
    const { text } = draft;
    const end = place + String.fromCodePoint(text.codePointAt(place)).length;
    const [from, to] = offersWords ? findWordPlace(text, place) : [place, end];
    const prompt = makePrompt(draft, from);
    const likeliest = await (offersWords ? writer.findNextWords(settings.chosenModel, prompt)
      : writer.findLikeliest(settings.chosenModel, prompt));
    if (draft.text !== text || likeliest.length === 0) return false;
    const current = text.slice(from, to);
    const listed = likeliest.find((choice) => choice.text === current);
    const bits = draft.getMarks(from, to).bits.reduce((sum, value) => sum + value, 0);
    const probability = listed ? Math.exp(listed.logprob) : 2 ** -bits;
    this.title.textContent = isNaN(probability)
      ? `${nameText(current)} was unlikely here`
      : `${nameText(current)} was ${formatPercent(probability)} likely`;
    if (offersWords && current === " ") this.title.textContent = "The next word"; // at the end
    const others = likeliest.filter((choice) => choice !== listed).slice(0, MAX_SHOWN);
    this.list.replaceChildren(...others.map((choice) => {
      const name = nameText(choice.text, offersWords && isWordEnd(prompt, choice.text) ? "…" : "");
      return this.#makeItem(name, choice, () => this.page.branch(from, to, choice));
    }));
    this.change.textContent = offersWords ? "Characters" : "Words";
    this.change.hidden = !settings.knowsWords;
    this.panel.showPopover();
    this.#moveTo(editor.mirror.findBox(place));
    return true;
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

export const NAMES = { " ": "space", "\n": "line break", "\t": "tab" };

/** Return a character, or a word without the blank before it, as the page shows it. */
export function nameText(text, before = "") {
  const shown = text.trim() || text.at(-1);
  return NAMES[shown] ?? `“${before}${shown}”`;
}

/** Return a probability as the page shows it. */
export function formatPercent(probability) {
  const percent = 100 * probability;
  return `${percent >= 10 ? percent.toFixed(0) : Number(percent.toPrecision(2))} %`;
}

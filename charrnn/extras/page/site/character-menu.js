/** A menu of the likeliest words at a place, of which one replaces the word there. */

import { translate } from "./language.js";
import { selectBefore } from "./prompt.js";
import { findWordPlace, isWordEnd } from "./word-place.js";

const MAX_SHOWN = 8; // words in the menu
const GAP = 6; // pixels between the character and the menu

export class CharacterMenu {
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
   * Show the whole words for the place of a character; if the model knows no words, the characters.
   *
   * @param {boolean} byKey  Whether to focus the first entry.
   */
  async open(place, byKey) {
    const { text } = this.page.draft;
    place -= /[\udc00-\udfff]/.test(text[place] ?? "") ? 1 : 0; // the second half of an emoji
    if (place < 0 || place >= text.length) return;
    if (await this.#show(place) && byKey) this.#moveFocus(1);
  }

  /** Show what is likeliest at the place. Return whether there is something to show. */
  async #show(place) {
    const { draft, editor } = this.page;
    const { writer } = this;
    const { text } = draft;
    const offersWords = writer.model.knowsWords;
    const end = place + String.fromCodePoint(text.codePointAt(place)).length;
    const [from, to] = offersWords ? findWordPlace(text, place) : [place, end];
    const prompt = selectBefore(text, from);
    const found = await (offersWords ? writer.findNextWords(prompt) : writer.findLikeliest(prompt));
    // ends of the word before the place are no whole words
    const likeliest = found.filter((choice) => !(offersWords && isWordEnd(prompt, choice.text)));
    if (draft.text !== text || likeliest.length === 0) return false;
    const current = text.slice(from, to);
    const listed = likeliest.find((choice) => choice.text === current);
    const sentence = listed ? "{word} was {percent} likely" : "{word} was unlikely here";
    const percent = formatPercent(Math.exp(listed?.logprob));
    const values = { word: nameText(current), percent };
    const isAtEnd = offersWords && current === " ";
    this.title.textContent = isAtEnd ? translate("The next word") : translate(sentence, values);
    const others = likeliest.filter((choice) => choice !== listed).slice(0, MAX_SHOWN);
    this.list.replaceChildren(...others.map((choice) =>
      this.#makeItem(nameText(choice.text), choice, () => editor.insert(from, to, choice.text))));
    this.panel.showPopover();
    this.#moveTo(editor.findBox(place));
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

const NAMES = { " ": "space", "\n": "line break", "\t": "tab" };

/** Return the name of a character that cannot be seen, or the character. */
export function nameCharacter(character) {
  return character in NAMES ? translate(NAMES[character]) : character;
}

/** Return a character, or a word without the blank before it, as the page shows it. */
function nameText(text) {
  const shown = text.trim() || text.at(-1);
  return shown in NAMES ? nameCharacter(shown) : `“${shown}”`;
}

/** Return a probability as the page shows it. */
function formatPercent(probability) {
  const percent = 100 * probability;
  return `${percent >= 10 ? percent.toFixed(0) : Number(percent.toPrecision(2))} %`;
}

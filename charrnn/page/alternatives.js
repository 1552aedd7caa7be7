/** Continuations side by side, of which one is taken, in whole or up to a word. */

import { Passage } from "./draft.js";
import { paint, unpaint } from "./tint.js";

export class Alternatives {
  /**
   * @param {HTMLElement} region  Holds an `ol` and the `template` of its items.
   * @param {(passage: Passage) => void} onTake  Called with what the reader chose.
   */
  constructor(region, onTake) {
    this.region = region;
    this.list = region.querySelector("ol");
    this.template = region.querySelector("template");
    this.onTake = onTake;
    this.cards = [];
  }

  get open() {
    return !this.region.hidden;
  }

  /** Show as many empty texts, to which `add` adds. */
  show(count) {
    this.offer(Array.from({ length: count }, (_, index) => this.#card(index + 1)));
    this.list.scrollLeft = 0;
  }

  /** Show texts that were shown before, as `cards` had them. */
  offer(cards) {
    for (const { node } of this.cards) unpaint(node);
    this.cards = cards;
    this.list.replaceChildren(...cards.map(({ item }) => item));
    for (const card of cards) this.#paint(card);
    this.region.hidden = false;
  }

  close() {
    this.region.hidden = true;
  }

  /** Scroll to them where the screen is too low for the text and them. */
  reveal() {
    this.region.scrollIntoView({ block: "nearest" });
  }

  /** Add to the end of a continuation what was written of it. */
  add(index, passage) {
    const card = this.cards[index];
    card.passage = card.passage.replaced(card.passage.length, card.passage.length, passage);
    card.copied = new Uint8Array(card.passage.length);
    card.node.appendData(passage.text);
    card.buttons.forEach((button) => { button.disabled = false; });
    this.#paint(card);
  }

  /**
   * Underline what is copied, also where it began before the continuations.
   *
   * @param {(text: string) => Promise<[number, number][] | null>} copied  As of a writer.
   * @param {string} before  The end of the text that they go on from.
   */
  async underlineCopied(copied, before) {
    for (const card of [...this.cards]) {
      const ranges = await copied(before + card.passage.text);
      if (!ranges || !this.cards.includes(card)) return;
      for (const [start, end] of ranges) {
        card.copied.fill(1, Math.max(0, start - before.length), Math.max(0, end - before.length));
      }
      this.#paint(card);
    }
  }

  /** Take the continuation of this number, counted from 1, if there is one. */
  take(number) {
    const card = this.cards[number - 1];
    if (card?.passage.length) this.onTake(card.passage);
  }

  #card(number) {
    const item = this.template.content.firstElementChild.cloneNode(true);
    const [whole, sentence] = item.querySelectorAll("button");
    const text = item.querySelector(".text");
    const node = text.appendChild(document.createTextNode(""));
    const buttons = [whole, sentence];
    const card = { item, passage: new Passage(""), copied: new Uint8Array(0), node, buttons };
    item.setAttribute("aria-label", `Continuation ${number}`);
    text.setAttribute("aria-label", `Text of continuation ${number}`);
    whole.setAttribute("aria-label", `Take continuation ${number}`);
    whole.setAttribute("aria-keyshortcuts", `Alt+${number}`);
    whole.querySelector(".number").textContent = String(number);
    sentence.setAttribute("aria-label", `Take the first sentence of continuation ${number}`);
    whole.addEventListener("click", () => this.take(number));
    sentence.addEventListener("click", () => {
      this.onTake(card.passage.slice(0, endOfSentence(card.passage.text)));
    });
    text.addEventListener("click", (event) => {
      if (event.pointerType === "touch") return; // it may be meant to scroll, or to read
      const place = placeUnder(event, card.node);
      if (place !== null) this.onTake(card.passage.slice(0, endOfWord(card.passage.text, place)));
    });
    return card;
  }

  #paint({ node, passage, copied }) {
    paint(node, passage.bits, copied);
  }
}

/** Where the first sentence or line ends that is more than white space. */
export function endOfSentence(text) {
  const sentence = text.match(/^\s*\S[^\n]*?(?:[.!?…]+["'”’»)]*(?=\s|$)|(?=\n)|$)/u);
  return sentence ? sentence[0].length : text.length;
}

function endOfWord(text, place) {
  return place + text.slice(place).match(/^\S*/)[0].length;
}

/** The place in a text node that was clicked; null between texts or while text is selected. */
function placeUnder({ clientX, clientY }, node) {
  if (!document.getSelection().isCollapsed) return null;
  if (document.caretPositionFromPoint) {
    const found = document.caretPositionFromPoint(clientX, clientY);
    return found?.offsetNode === node ? found.offset : null;
  }
  const found = document.caretRangeFromPoint(clientX, clientY); // older Safari and Chromium
  return found?.startContainer === node ? found.startOffset : null;
}

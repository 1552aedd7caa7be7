/** Continuations side by side, of which one is taken, in whole or up to a word. */

import { Passage } from "./draft.js";
import { ended, endOfFirstWord, endOfSentence, endOfWord } from "./ending.js";
import { paint, unpaint } from "./tint.js";

export class Alternatives {
  /**
   * @param {HTMLElement} region  Holds an `ol` and the `template` of its items.
   * @param {(passage: Passage) => void} onTake  Called with what the reader chose.
   * @param {(word: Passage, rest: object[]) => void} onTakeWord  The same of a word, with the cards
   *   that go on from it.
   */
  constructor(region, onTake, onTakeWord) {
    this.region = region;
    this.list = region.querySelector("ol");
    this.template = region.querySelector("template");
    this.onTake = onTake;
    this.onTakeWord = onTakeWord;
    this.cards = [];
    this.after = ""; // what follows them
    this.stale = false;
  }

  get open() {
    return !this.region.hidden;
  }

  /** Show as many empty texts, to which `add` adds, until `end`; `after` is what follows them. */
  show(count, after) {
    this.after = after;
    this.offer(Array.from({ length: count }, () => this.#card()));
    this.list.scrollLeft = 0;
  }

  /** Show texts that were shown before, as `cards` had them. */
  offer(cards) {
    for (const { node } of this.cards) unpaint(node);
    this.cards = cards;
    const held = this.list.querySelector(":focus");
    this.list.replaceChildren(...cards.map(({ item }) => item));
    for (const [index, card] of cards.entries()) {
      number(card, index + 1);
      this.#paint(card);
    }
    this.markStale(false);
    this.region.hidden = false;
    held?.focus({ preventScroll: true }); // which it lost when it was moved
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
    this.#set(card, card.passage.replaced(card.passage.length, card.passage.length, passage));
  }

  /** They are written: each ends at a sentence or a word. */
  end() {
    for (const card of this.cards) {
      card.isWhole = true;
      this.#set(card, ended(card.passage, this.after));
    }
  }

  /** Stale: the text that they go on from is another one now, so that none can be taken. */
  markStale(stale) {
    this.stale = stale;
    this.region.classList.toggle("stale", stale);
    this.region.querySelector(".stale-hint").textContent = stale
      ? "The text has changed, and these do not go on from it." : "";
    for (const card of this.cards) this.#enable(card);
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
    if (card) this.#take(card.isWhole ? card.passage : ended(card.passage, this.after));
  }

  /** Take the next word of the continuation of this number. */
  takeWord(number) {
    const card = this.cards[number - 1];
    if (!card || this.stale) return;
    const passage = card.isWhole ? card.passage : ended(card.passage, this.after);
    const word = passage.slice(0, endOfFirstWord(passage.text));
    const { className } = document.activeElement;
    const held = this.focused > 0;
    if (word.length) this.onTakeWord(word, this.#after(word.text, card));
    if (held) this.list.querySelector(`[class="${className}"]`)?.focus();
  }

  /** The number of the continuation that has the focus; 0 if none has. */
  get focused() {
    return 1 + this.cards.findIndex(({ item }) => item.contains(document.activeElement));
  }

  /** What goes on from a word, as cards: this one first, and others that begin with it. */
  #after(word, first) {
    const others = this.cards.filter((card) => card !== first);
    const fitting = [first, ...others].filter(({ passage }) =>
      passage.text.startsWith(word) && passage.length > word.length);
    return fitting.map(({ passage, copied, isWhole }) => {
      const card = Object.assign(this.#card(), { isWhole });
      this.#set(card, passage.slice(word.length));
      card.copied.set(copied.subarray(word.length));
      return card;
    });
  }

  #take(passage) {
    if (passage.length && !this.stale) this.onTake(passage);
  }

  #set(card, passage) {
    if (card.node.data !== passage.text) card.node.data = passage.text;
    card.passage = passage;
    card.copied = new Uint8Array(passage.length);
    this.#enable(card);
    this.#paint(card);
  }

  #enable({ buttons, passage }) {
    for (const button of buttons) button.disabled = this.stale || passage.length === 0;
  }

  #card() {
    const item = this.template.content.firstElementChild.cloneNode(true);
    const [whole, sentence, word] = item.querySelectorAll("button");
    const text = item.querySelector(".text");
    const node = text.appendChild(document.createTextNode(""));
    const card = {
      item, text, node, buttons: [whole, sentence, word],
      passage: new Passage(""), copied: new Uint8Array(0), isWhole: false,
    };
    whole.addEventListener("click", () => this.take(1 + this.cards.indexOf(card)));
    sentence.addEventListener("click", () => {
      this.#take(card.passage.slice(0, endOfSentence(card.passage.text)));
    });
    word.addEventListener("click", () => this.takeWord(1 + this.cards.indexOf(card)));
    text.addEventListener("click", (event) => {
      // a touch, which older Safari calls a mouse, may be meant to scroll, or to read
      if (event.pointerType === "touch" || matchMedia("(pointer: coarse)").matches) return;
      const place = placeUnder(event, card.node);
      if (place !== null) this.#take(card.passage.slice(0, endOfWord(card.passage.text, place)));
    });
    return card;
  }

  #paint({ node, passage, copied }) {
    paint(node, passage.bits, copied);
  }
}

/** Name a card and its parts by its number, counted from 1. */
function number({ item, text, buttons: [whole, sentence, word] }, count) {
  item.setAttribute("aria-label", `Continuation ${count}`);
  text.setAttribute("aria-label", `Text of continuation ${count}`);
  whole.setAttribute("aria-keyshortcuts", `Alt+${count}`);
  for (const each of whole.querySelectorAll(".number")) each.textContent = String(count);
  sentence.setAttribute("aria-label", `Take the first sentence of continuation ${count}`);
  word.setAttribute("aria-label", `Take the next word of continuation ${count}`);
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

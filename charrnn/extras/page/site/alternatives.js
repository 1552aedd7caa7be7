/** Cards with continuations side by side. The reader takes a whole text or its start. */

import { Passage } from "./draft.js";
import { findFirstWordEnd, findSentenceEnd, findWordEnd, trimEnd } from "./ending.js";
import { paint, unpaint } from "./tint.js";

export class Alternatives {
  /**
   * @param {HTMLElement} region  Has an `ol` and the `template` of its items.
   * @param {(passage: Passage) => void} onTake  Called with the text that the reader takes.
   * @param {(word: Passage, rest: object[]) => void} onTakeWord  Called with a word that the reader
   *   takes, and with cards of the texts after that word.
   */
  constructor(region, onTake, onTakeWord) {
    this.region = region;
    this.list = region.querySelector("ol");
    this.template = region.querySelector("template");
    this.onTake = onTake;
    this.onTakeWord = onTakeWord;
    this.cards = [];
    this.textAfter = ""; // the text of the draft after the continuations
    this.isStale = false;
  }

  get isOpen() {
    return !this.region.hidden;
  }

  /** Show empty cards, to be filled by `add` until `complete`. */
  show(count, textAfter) {
    this.textAfter = textAfter;
    this.offer(Array.from({ length: count }, () => this.#makeCard()));
    this.list.scrollLeft = 0;
  }

  /** Show existing cards. */
  offer(cards) {
    for (const { node } of this.cards) unpaint(node);
    this.cards = cards;
    const focused = this.list.querySelector(":focus");
    this.list.replaceChildren(...cards.map(({ item }) => item));
    for (const [index, card] of cards.entries()) {
      labelCard(card, index + 1);
      this.#paint(card);
    }
    this.markStale(false);
    this.region.hidden = false;
    focused?.focus({ preventScroll: true }); // replaceChildren removed the focus
  }

  close() {
    this.region.hidden = true;
  }

  /** Scroll to the cards if the screen is too low for the draft and the cards. */
  reveal() {
    this.region.scrollIntoView({ block: "nearest" });
  }

  /** Add new text to the end of a continuation. */
  add(index, passage) {
    const card = this.cards[index];
    this.#setPassage(card, card.passage.append(passage));
  }

  /**
   * Cut the continuations at a sentence or a word, because they are complete.
   *
   * @param {Set<number>} stopped  The indices of those that ended before `stop`; they are not cut.
   */
  complete(stopped) {
    for (const [index, card] of this.cards.entries()) {
      if (!stopped.has(index)) this.#setPassage(card, this.#trim(card));
      card.isComplete = true;
    }
  }

  /** Mark the continuations as stale: the draft has changed, so they cannot be taken. */
  markStale(isStale) {
    this.isStale = isStale;
    this.region.classList.toggle("stale", isStale);
    this.region.querySelector(".stale-hint").textContent = isStale
      ? "The text has changed: these continuations no longer fit." : "";
    for (const card of this.cards) this.#enableButtons(card);
  }

  /**
   * Underline copies in the continuations, including copies that start before them.
   *
   * @param {(text: string) => Promise<[number, number][] | null>} findCopies  As in a writer.
   * @param {string} before  The end of the text before the continuations.
   */
  async underlineCopies(findCopies, before) {
    for (const card of [...this.cards]) {
      const ranges = await findCopies(before + card.passage.text);
      if (!ranges || !this.cards.includes(card)) return;
      for (const [start, end] of ranges) {
        card.copied.fill(1, Math.max(0, start - before.length), Math.max(0, end - before.length));
      }
      this.#paint(card);
    }
  }

  /** Take the continuation with a number, counted from 1, if it exists. */
  take(number) {
    const card = this.cards[number - 1];
    if (card) this.#take(this.#trim(card));
  }

  /** Take the next word of the continuation with a number. */
  takeWord(number) {
    const card = this.cards[number - 1];
    if (!card || this.isStale) return;
    const passage = this.#trim(card);
    const word = passage.slice(0, findFirstWordEnd(passage.text));
    const { className } = document.activeElement;
    const hadFocus = this.focusedNumber > 0;
    if (word.length) this.onTakeWord(word, this.#makeRestCards(word.text, card));
    if (hadFocus) this.list.querySelector(`[class="${className}"]`)?.focus();
  }

  /** The number of the continuation with the focus; 0 without focus. */
  get focusedNumber() {
    return 1 + this.cards.findIndex(({ item }) => item.contains(document.activeElement));
  }

  /** Return cards with complete texts. */
  makeCards(passages) {
    return passages.map((passage) => {
      const card = Object.assign(this.#makeCard(), { isComplete: true });
      this.#setPassage(card, passage);
      return card;
    });
  }

  /** Return cards with the texts after a word: first of `first`, then of others with that word. */
  #makeRestCards(word, first) {
    const others = this.cards.filter((card) => card !== first);
    const fitting = [first, ...others].filter(({ passage }) =>
      passage.text.startsWith(word) && passage.length > word.length);
    return fitting.map(({ passage, copied, isComplete }) => {
      const card = Object.assign(this.#makeCard(), { isComplete });
      this.#setPassage(card, passage.slice(word.length));
      card.copied.set(copied.subarray(word.length));
      return card;
    });
  }

  /** Return the text of a card without an incomplete word at its end. */
  #trim({ isComplete, passage }) {
    return isComplete ? passage : trimEnd(passage, this.textAfter);
  }

  #take(passage) {
    if (passage.length && !this.isStale) this.onTake(passage);
  }

  #setPassage(card, passage) {
    if (card.node.data !== passage.text) card.node.data = passage.text;
    card.passage = passage;
    card.copied = new Uint8Array(passage.length);
    this.#enableButtons(card);
    this.#paint(card);
  }

  #enableButtons({ buttons, passage }) {
    for (const button of buttons) button.disabled = this.isStale || passage.length === 0;
  }

  #makeCard() {
    const item = this.template.content.firstElementChild.cloneNode(true);
    const [whole, sentence, word] = item.querySelectorAll("button");
    const text = item.querySelector(".text");
    const node = text.appendChild(document.createTextNode(""));
    const card = {
      item, text, node, buttons: [whole, sentence, word],
      passage: new Passage(""), copied: new Uint8Array(0), isComplete: false,
    };
    whole.addEventListener("click", () => this.take(1 + this.cards.indexOf(card)));
    sentence.addEventListener("click", () => {
      this.#take(card.passage.slice(0, findSentenceEnd(card.passage.text)));
    });
    word.addEventListener("click", () => this.takeWord(1 + this.cards.indexOf(card)));
    text.addEventListener("click", (event) => {
      // a touch may be a scroll gesture; older Safari reports it as a mouse
      if (event.pointerType === "touch" || matchMedia("(pointer: coarse)").matches) return;
      const place = findPlace(event, card.node);
      if (place !== null) this.#take(card.passage.slice(0, findWordEnd(card.passage.text, place)));
    });
    return card;
  }

  #paint({ node, passage, copied }) {
    paint(node, passage.bits, copied);
  }
}

/** Put the number of a card, counted from 1, into its labels. */
function labelCard({ item, text, buttons: [whole, sentence, word] }, number) {
  item.setAttribute("aria-label", `Continuation ${number}`);
  text.setAttribute("aria-label", `Text of continuation ${number}`);
  whole.setAttribute("aria-keyshortcuts", `Alt+${number}`);
  for (const label of whole.querySelectorAll(".number")) label.textContent = String(number);
  sentence.setAttribute("aria-label", `Take the first sentence of continuation ${number}`);
  word.setAttribute("aria-label", `Take the next word of continuation ${number}`);
}

/** Return the clicked place in a text node; null outside of it or while text is selected. */
function findPlace({ clientX, clientY }, node) {
  if (!document.getSelection().isCollapsed) return null;
  if (document.caretPositionFromPoint) {
    const position = document.caretPositionFromPoint(clientX, clientY);
    return position?.offsetNode === node ? position.offset : null;
  }
  const range = document.caretRangeFromPoint(clientX, clientY); // older Safari and Chromium
  return range?.startContainer === node ? range.startOffset : null;
}

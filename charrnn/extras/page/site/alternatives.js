/** Cards with continuations side by side. The reader takes a whole text or its start. */

import { SHORTEST_COPY } from "./annotations.js";
import { findWordEnd } from "./ending.js";
import { translate } from "./language.js";
import { mark } from "./marks.js";

export class Alternatives {
  /**
   * @param {HTMLElement} region  Has an `ol` and the `template` of its items.
   * @param {(text: string) => void} onTake  Called with the text that the reader takes.
   */
  constructor(region, onTake) {
    this.region = region;
    this.list = region.querySelector("ol");
    this.template = region.querySelector("template");
    this.onTake = onTake;
    this.cards = [];
    this.isStale = false; // whether the draft has changed, so that no text can be taken
  }

  get isOpen() {
    return !this.region.hidden;
  }

  get texts() {
    return this.cards.map(({ node }) => node.data);
  }

  /** Show texts, each on its card. */
  show(texts) {
    if (texts.length !== this.cards.length) this.#makeCards(texts.length);
    for (const [index, { node, button }] of this.cards.entries()) {
      if (node.data === texts[index]) continue;
      node.data = texts[index];
      button.disabled = texts[index] === "";
    }
    this.markStale(false);
    this.region.hidden = false;
  }

  close() {
    this.region.hidden = true;
    this.#makeCards(0);
  }

  /** Scroll to the cards if the screen is too low for the draft and the cards. */
  reveal() {
    this.region.scrollIntoView({ block: "nearest" });
  }

  markStale(isStale) {
    this.isStale = isStale;
    this.region.classList.toggle("stale", isStale);
  }

  /**
   * Underline copies in the continuations, including copies that start before them.
   *
   * @param {import("./writer.js").Writer} writer
   * @param {string} before  The end of the text before the continuations.
   */
  async underlineCopies(writer, before) {
    const places = [];
    const { cards, texts } = this;
    for (const { node } of cards) {
      const ranges = await writer.call("findCopies", before + node.data, SHORTEST_COPY);
      for (const [start, end] of ranges) {
        if (end <= before.length) continue;
        places.push([node, Math.max(0, start - before.length), end - before.length]);
      }
    }
    if (texts.every((text, index) => text === this.texts[index])) mark("offered-copies", places);
  }

  /** Take the continuation with a number, counted from 1, or its start. */
  take(number, end) {
    const text = this.texts[number - 1]?.slice(0, end);
    if (text && !this.isStale) this.onTake(text);
  }

  #makeCards(count) {
    this.cards = Array.from({ length: count }, (_, index) => this.#makeCard(index + 1));
    this.list.replaceChildren(...this.cards.map(({ item }) => item));
    this.list.scrollLeft = 0;
  }

  #makeCard(n) {
    const item = this.template.content.firstElementChild.cloneNode(true);
    const [text, button] = [item.querySelector(".text"), item.querySelector("button")];
    const node = text.appendChild(document.createTextNode(""));
    item.ariaLabel = translate("Continuation {n}", { n });
    text.ariaLabel = translate("Text of continuation {n}", { n });
    button.ariaLabel = translate("Take continuation {n}", { n });
    button.setAttribute("aria-keyshortcuts", `Alt+${n}`);
    button.querySelector(".number").textContent = String(n);
    button.addEventListener("click", () => this.take(n));
    text.addEventListener("click", (event) => {
      const place = findPlace(event, node);
      if (place !== null) this.take(n, findWordEnd(node.data, place));
    });
    return { item, node, button };
  }
}

/** Return the clicked place in a text node; null outside of it or while text is selected. */
function findPlace({ clientX, clientY }, node) {
  if (!document.getSelection().isCollapsed) return null;
  if (document.caretPositionFromPoint) {
    const position = document.caretPositionFromPoint(clientX, clientY);
    return position?.offsetNode === node ? position.offset : null;
  }
  const range = document.caretRangeFromPoint(clientX, clientY); // Safari and older Chromium
  return range?.startContainer === node ? range.startOffset : null;
}

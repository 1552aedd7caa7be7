/** Show what the model writes from the cursor on, and beside it what it writes with units held. */

import { readable } from "./places.js";
import { Writing } from "./writing.js";

const CONTEXT = 512; // places before the cursor that the model reads
const SHOWN_CONTEXT = 60; // places before the cursor that the page shows
const LENGTH = 400; // characters

export class WritingCard {
  /** @param {HTMLElement} element @param {import("../../page/site/network/sampler.js").Sampler} sampler */
  constructor(element, sampler) {
    this.element = element;
    this.sampler = sampler;
    this.writing = new Writing(sampler);
    this.begun = "";
    this.asked = null; // the next text's context, until it is started
    this.onAsk = () => {};
    for (const input of element.querySelectorAll("input")) {
      input.addEventListener("input", () => this.changed(this.reading, this.place));
    }
  }

  /** Write new texts if the place, the text before it, or the held units changed. */
  changed(reading, place) {
    Object.assign(this, { reading, place });
    const { temperature, seed } = this.#how;
    this.element.querySelector("output").textContent = temperature.toFixed(2);
    const ids = reading.ids.slice(Math.max(0, place - CONTEXT), place).filter((id) => id >= 0);
    const asked = JSON.stringify([temperature, seed, [...reading.held], [...ids]]);
    if (asked === this.begun) return;
    this.begun = asked;
    this.asked = { ids: ids.length ? ids : Int32Array.of(0), held: reading.held.size > 0 };
    this.onAsk();
  }

  get done() {
    return this.asked === null && this.writing.done;
  }

  work(until) {
    if (this.asked) this.#begin();
    else this.writing.work(until);
    this.#show();
  }

  #begin() {
    const { ids, held } = this.asked;
    this.asked = null;
    const free = () => this.sampler.network.releaseAll();
    const kept = () => this.reading.applyHeld();
    const zero = { last: null, state: this.sampler.network.zeroState() };
    const starts = (held ? [free, kept] : [free]).map((hold) => {
      hold();
      return { ...this.sampler.readOn(zero, ids), hold };
    });
    this.context = this.sampler.vocabulary.decode(ids.slice(-SHOWN_CONTEXT));
    this.writing.begin(starts, { ...this.#how, length: LENGTH });
  }

  #show() {
    const [free, held] = this.writing.written;
    const [first, second] = this.element.querySelectorAll(".text");
    const same = held === undefined ? free.length : commonLength(free, held);
    this.#fill(first, free, same);
    second.closest("article").classList.toggle("waits", held === undefined);
    if (held !== undefined) this.#fill(second, held, same);
  }

  /** Show the context, the part that both texts share, and the rest. */
  #fill(element, text, same) {
    const { vocabulary } = this.sampler;
    const pieces = [["context", this.context], ["", text.slice(0, same)],
      ["differs", text.slice(same)]];
    element.replaceChildren(...pieces.map(([name, piece]) => {
      const span = document.createElement("span");
      span.className = name;
      span.textContent = readable(piece, vocabulary);
      return span;
    }));
  }

  get #how() {
    const value = (id) => this.element.querySelector(id).valueAsNumber;
    const seed = Math.min(2 ** 31 - 1, Math.max(0, Math.round(value("#seed")) || 0));
    return { temperature: value("#temperature"), seed };
  }
}

function commonLength(one, other) {
  let length = 0;
  while (length < Math.min(one.length, other.length) && one[length] === other[length]) length++;
  return length;
}

/** Show the model's text after the cursor, and beside it the text with held units. */

import { toReadable } from "./places.js";
import { Writing } from "./writing.js";

const CONTEXT = 512; // places before the cursor that the model reads
const SHOWN_CONTEXT = 60; // places before the cursor that the page shows
const LENGTH = 400; // characters

export class WritingCard {
  /** @param {import("../../page/site/network/sampler.js").Sampler} sampler */
  constructor(element, sampler) {
    this.element = element;
    this.sampler = sampler;
    this.writing = new Writing(sampler);
    this.lastRequest = "";
    this.next = null; // the texts to start next
    this.onRequest = () => {};
    for (const input of element.querySelectorAll("input")) {
      input.addEventListener("input", () => this.update(this.reading, this.place));
    }
  }

  /** Request new texts if the place, the text before it, or the held units changed. */
  update(reading, place) {
    Object.assign(this, { reading, place });
    const { temperature, seed } = this.#options;
    this.element.querySelector("output").textContent = temperature.toFixed(2);
    const ids = reading.ids.slice(Math.max(0, place - CONTEXT), place).filter((id) => id >= 0);
    const request = JSON.stringify([temperature, seed, [...reading.held], [...ids]]);
    if (request === this.lastRequest) return;
    this.lastRequest = request;
    this.next = { ids: ids.length ? ids : Int32Array.of(0), hasHeld: reading.held.size > 0 };
    this.onRequest();
  }

  get isDone() {
    return this.next === null && this.writing.isDone;
  }

  work(until) {
    if (this.next) this.#start();
    else this.writing.work(until);
    this.#show();
  }

  #start() {
    const { ids, hasHeld } = this.next;
    this.next = null;
    const release = () => this.sampler.network.releaseAll();
    const applyHeld = () => this.reading.applyHeld();
    const zero = { last: null, state: this.sampler.network.zeroState() };
    const starts = (hasHeld ? [release, applyHeld] : [release]).map((setUnits) => {
      setUnits();
      return { ...this.sampler.readOn(zero, ids), setUnits };
    });
    this.context = this.sampler.vocabulary.decode(ids.slice(-SHOWN_CONTEXT));
    this.writing.start(starts, { ...this.#options, length: LENGTH }, ids);
  }

  #show() {
    const [free, held] = this.writing.texts;
    const [first, second] = this.element.querySelectorAll(".text");
    const common = held === undefined ? free.length : countCommon(free, held);
    this.#fill(first, free, common);
    second.closest("article").classList.toggle("waits", held === undefined);
    if (held !== undefined) this.#fill(second, held, common);
  }

  /** Show the context, the common start of both texts, and the rest. */
  #fill(element, text, common) {
    const { vocabulary } = this.sampler;
    const pieces = [["context", this.context], ["", text.slice(0, common)],
      ["differs", text.slice(common)]];
    element.replaceChildren(...pieces.map(([name, piece]) => {
      const span = document.createElement("span");
      span.className = name;
      span.textContent = toReadable(piece, vocabulary);
      return span;
    }));
  }

  get #options() {
    const value = (id) => this.element.querySelector(id).valueAsNumber;
    const seed = Math.min(2 ** 31 - 1, Math.max(0, Math.round(value("#seed")) || 0));
    return { temperature: value("#temperature"), seed };
  }
}

/** Return the length of the common start of two texts. */
function countCommon(first, second) {
  let length = 0;
  while (length < first.length && first[length] === second[length]) length++;
  return length;
}

/**
 * Run the network over a passage, and update the result when the passage or the held units change.
 *
 * A place is one id; -1 is an unknown character, which the network skips. The values of places that
 * were reached from the start of the passage are exact. Until then, a visible place has the values
 * of a network that started LEAD places before: nearly the same, and available at once.
 */

import { spliceArray } from "../../page/site/draft.js";
import { computeLogProb, rankIds } from "../../page/site/network/draw.js";

const STRIDE = 64; // places between two stored states
const LEAD = 256;
const STEPS_PER_CHECK = 16; // steps between two checks of the time

export class Reading {
  /**
   * @param {import("../../page/site/network/network.js").Network} network
   * @param {{letter: string, scale: number}[]} parts  The vectors of the state, in their order.
   */
  constructor(network, parts) {
    this.network = network;
    this.parts = parts;
    this.hiddenSize = network.architecture.hidden_size;
    this.units = parts.length * this.hiddenSize;
    this.ids = new Int32Array(0);
    this.bits = new Float32Array(0); // the surprise at each place; NaN if there is none
    this.activations = new Int8Array(0); // (places, units), in 127ths of the part's scale
    this.held = new Map(); // held unit -> the value that the page shows, from -1 to 1
    this.bitsBefore = null; // while units are held: the surprise at each place without held units
    this.states = []; // the state before every STRIDE-th place
    this.reached = 0; // the number of exact places, from the start
    this.run = null; // the state at the last exact place
  }

  get length() {
    return this.ids.length;
  }

  get isDone() {
    return this.reached === this.length;
  }

  /** Replace the places from `start` to `end`; later places keep their values until recomputed. */
  replace(start, end, ids) {
    const { units } = this;
    const unknown = new Float32Array(ids.length).fill(NaN);
    this.ids = spliceArray(this.ids, start, end, Int32Array.from(ids));
    this.bits = spliceArray(this.bits, start, end, unknown);
    if (this.bitsBefore) this.bitsBefore = spliceArray(this.bitsBefore, start, end, unknown);
    this.activations = spliceArray(this.activations, start * units, end * units,
      new Int8Array(ids.length * units));
    this.#forgetFrom(start);
  }

  /** Hold a unit at a value from -1 to 1, or release it (null). */
  hold(unit, value) {
    this.bitsBefore ??= this.bits.slice();
    if (value === null) this.held.delete(unit);
    else this.held.set(unit, value);
    if (!this.held.size) this.bitsBefore = null;
    this.#forgetFrom(0);
  }

  /** Compute exact values until the end of the passage or until a time. */
  work(until = Infinity) {
    this.applyHeld();
    let run = this.run?.place === this.reached ? this.run
      : this.#start(this.#findState(this.reached));
    while (this.reached < this.length) {
      run = this.#readUntil(Math.min(this.length, run.place + STEPS_PER_CHECK), run, true);
      this.reached = Math.max(this.reached, run.place);
      if (run.place === this.reached && performance.now() > until) break;
    }
    // a copy, because the next step of the network overwrites its logits
    this.run = { ...run, logits: run.logits?.slice() ?? null };
  }

  /** Compute the values from `start` to `end`: exact ones, or approximate ones far ahead. */
  show(start, end) {
    if (this.reached >= end) return;
    const from = this.#findStateNear(start);
    this.#readUntil(end, this.#start(from), from.isExact);
    if (from.isExact) this.reached = end;
  }

  /** Return the shown value of a unit at a place, from -1 to 1. */
  getActivation(place, unit) {
    return this.activations[place * this.units + unit] / 127;
  }

  /** Return the surprise, in bits, that held units add at a place; 0 if unknown. */
  getChange(place) {
    return this.bitsBefore ? this.bits[place] - this.bitsBefore[place] || 0 : 0;
  }

  /**
   * Return the likeliest ids at a place and the actual id, with their probabilities; null at the
   * start of the text.
   */
  predict(place, count) {
    let last = place - 1;
    while (last >= 0 && this.ids[last] < 0) last--;
    if (last < 0) return null;
    const logits = this.network.step(this.ids[last], this.#computeState(last));
    const rate = (id) => ({ id, probability: Math.exp(computeLogProb(logits, id)) });
    const actual = this.ids[place] ?? -1;
    return {
      likeliest: Array.from(rankIds(logits).subarray(0, count), rate),
      actual: actual < 0 ? null : rate(actual),
    };
  }

  /** Return the state before a place. */
  #computeState(place) {
    const { place: start, state } = this.#start(this.#findStateNear(place));
    for (const id of this.ids.subarray(start, place)) {
      if (id >= 0) this.network.advance(id, state);
    }
    return state;
  }

  /** Let the network hold the units in `held`, and no others. */
  applyHeld() {
    this.network.releaseAll();
    for (const [unit, value] of this.held) {
      const part = Math.floor(unit / this.hiddenSize);
      const { layer, letter, scale } = this.parts[part];
      // the page shows the tanh of an LSTM's cell, which is always below 1
      const cellValue = letter === "c" ? Math.atanh(0.999 * value) : value * scale;
      this.network.hold(layer, unit % this.hiddenSize, cellValue, letter);
    }
  }

  #start({ place, state }) {
    this.applyHeld();
    return { place, state, logits: null };
  }

  /** Read until a place, and record all values. Without logits, keep the first surprise. */
  #readUntil(end, { place, state, logits }, storesStates) {
    for (; place < end; place++) {
      if (storesStates && place % STRIDE === 0) this.states[place / STRIDE] = state.slice();
      const id = this.ids[place];
      if (place === 0) this.bits[place] = NaN;
      if (logits && id >= 0) this.bits[place] = -computeLogProb(logits, id) / Math.LN2;
      if (id >= 0) logits = this.network.step(id, state);
      this.#record(place, state);
    }
    return { place, state, logits };
  }

  #record(place, state) {
    const { hiddenSize, parts, activations } = this;
    let to = place * this.units;
    let unit = 0;
    for (const { letter, scale } of parts) {
      const end = unit + hiddenSize;
      if (letter === "c") for (; unit < end; unit++) activations[to++] = 127 * tanh(state[unit]);
      else for (; unit < end; unit++) activations[to++] = 127 * clamp(state[unit] / scale);
    }
  }

  /** Return the last stored state before a place, and its place. */
  #findState(place) {
    const index = Math.min(Math.ceil(place / STRIDE), this.states.length) - 1;
    if (index < 0) return { place: 0, state: this.network.zeroState(), isExact: true };
    return { place: index * STRIDE, state: this.states[index].slice(), isExact: true };
  }

  /** Return the last stored state if it is near a place, else the zero state LEAD places before. */
  #findStateNear(place) {
    const stored = this.#findState(Math.min(place, this.reached));
    if (place - stored.place <= LEAD + STRIDE) return stored;
    return { place: place - LEAD, state: this.network.zeroState(), isExact: false };
  }

  #forgetFrom(place) {
    this.reached = Math.min(this.reached, place);
    this.run = null;
    this.states.length = Math.min(this.states.length, Math.floor(place / STRIDE) + 1);
  }
}

const clamp = (value) => Math.max(-1, Math.min(1, value));
const tanh = (x) => 1 - 2 / (1 + Math.exp(2 * x)); // takes half the time of Math.tanh

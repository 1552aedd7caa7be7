/**
 * Run the network over a passage, and update the result when the passage or the held units change.
 *
 * A place is one id; -1 is an unknown character, which the network skips. Places that were computed
 * from the start of the passage are exact. Until a later place is reached, it shows the network's
 * values when it starts LEAD characters before: nearly the same, and available at once.
 */

import { spliced } from "../../page/site/draft.js";
import { sortByLogit, computeLogProb } from "../../page/site/network/token-sampler.js";

const STRIDE = 64; // places from one state that is kept to the next
const LEAD = 256;
const STEPS_A_LOOK = 16; // between two looks at the clock

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
    this.held = new Map(); // the value that is shown of each held unit, from -1 to 1
    this.free = null; // while a unit is held: the surprise at each place without it
    this.states = []; // before every STRIDE-th place
    this.reached = 0; // places that are exact
    this.going = null; // where to continue
  }

  get length() {
    return this.ids.length;
  }

  get done() {
    return this.reached === this.length;
  }

  /** Replace the places from `start` to `end`; later places keep their values until recomputed. */
  replace(start, end, ids) {
    const { units } = this;
    this.ids = spliced(this.ids, start, end, Int32Array.from(ids));
    this.bits = spliced(this.bits, start, end, new Float32Array(ids.length).fill(NaN));
    if (this.free) {
      this.free = spliced(this.free, start, end, new Float32Array(ids.length).fill(NaN));
    }
    this.activations = spliced(this.activations, start * units, end * units,
      new Int8Array(ids.length * units));
    this.#forgetFrom(start);
  }

  /** Hold a unit at a value as it is shown, from -1 to 1; null lets it change again. */
  hold(unit, value) {
    this.free ??= this.bits.slice();
    if (value === null) this.held.delete(unit);
    else this.held.set(unit, value);
    if (!this.held.size) this.free = null;
    this.#forgetFrom(0);
  }

  /** Continue the exact places until the end, or until a time. */
  work(until = Infinity) {
    this.applyHeld();
    let run = this.going?.place === this.reached ? this.going
      : this.#begin(this.#keptBefore(this.reached));
    while (this.reached < this.length) {
      run = this.#run(run, Math.min(this.length, run.place + STEPS_A_LOOK), true);
      this.reached = Math.max(this.reached, run.place);
      if (run.place === this.reached && performance.now() > until) break;
    }
    // the next step of the network, anywhere, overwrites its logits
    this.going = { ...run, logits: run.logits?.slice() ?? null };
  }

  /** Compute at least approximate values for the places from `start` to `end`. */
  show(start, end) {
    if (this.reached >= end) return;
    const from = this.#near(start);
    this.#run(this.#begin(from), end, from.exact);
    if (from.exact) this.reached = end;
  }

  /** Return the value that is shown of a unit at a place, from -1 to 1. */
  activation(place, unit) {
    return this.activations[place * this.units + unit] / 127;
  }

  /** Return how many bits the held units add to the surprise at a place; 0 if unknown. */
  change(place) {
    return this.free ? this.bits[place] - this.free[place] || 0 : 0;
  }

  /**
   * Return the likeliest characters at a place and the character that came, with probabilities;
   * null at the start of the text.
   */
  alternatives(place, count) {
    let last = place - 1;
    while (last >= 0 && this.ids[last] < 0) last--;
    if (last < 0) return null;
    const logits = this.network.step(this.ids[last], this.stateBefore(last));
    const found = (id) => ({ id, probability: Math.exp(computeLogProb(logits, id)) });
    const came = this.ids[place] ?? -1;
    return {
      likeliest: Array.from(sortByLogit(logits).subarray(0, count), found),
      came: came < 0 ? null : found(came),
    };
  }

  /** Return the state before a place. */
  stateBefore(place) {
    const { place: from, state } = this.#begin(this.#near(place));
    for (let at = from; at < place; at++) {
      if (this.ids[at] >= 0) this.network.advance(this.ids[at], state);
    }
    return state;
  }

  /** Let the network hold the units that are held here. */
  applyHeld() {
    this.network.releaseAll();
    for (const [unit, value] of this.held) {
      const part = Math.floor(unit / this.hiddenSize);
      const { layer, letter, scale } = this.parts[part];
      // the page shows the tanh of an LSTM's cell, which is always below 1
      const held = letter === "c" ? Math.atanh(0.999 * value) : value * scale;
      this.network.hold(layer, unit % this.hiddenSize, held, letter);
    }
  }

  #begin({ place, state }) {
    this.applyHeld();
    return { place, state, logits: null };
  }

  /** Step to a place. Without logits the first surprise stays as it is. */
  #run({ place, state, logits }, end, keeps) {
    for (; place < end; place++) {
      if (keeps && place % STRIDE === 0) this.states[place / STRIDE] = state.slice();
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
      else for (; unit < end; unit++) activations[to++] = 127 * within(state[unit] / scale);
    }
  }

  /** Return the last state that is kept before a place, and its place. */
  #keptBefore(place) {
    const index = Math.min(Math.ceil(place / STRIDE), this.states.length) - 1;
    if (index < 0) return { place: 0, state: this.network.zeroState(), exact: true };
    return { place: index * STRIDE, state: this.states[index].slice(), exact: true };
  }

  /** Return the same; if that is far away, the zero state LEAD places before. */
  #near(place) {
    const kept = this.#keptBefore(Math.min(place, this.reached));
    if (place - kept.place <= LEAD + STRIDE) return kept;
    return { place: place - LEAD, state: this.network.zeroState(), exact: false };
  }

  #forgetFrom(place) {
    this.reached = Math.min(this.reached, place);
    this.going = null;
    this.states.length = Math.min(this.states.length, Math.floor(place / STRIDE) + 1);
  }
}

const within = (value) => Math.max(-1, Math.min(1, value));
const tanh = (x) => 1 - 2 / (1 + Math.exp(2 * x)); // takes half the time of Math.tanh

/**
 * What the network does with a passage, place by place, kept up to date as the passage is edited
 * and as units are held.
 *
 * A place is one id; -1 is a character that the model does not know, over which it does not step.
 * What was computed from the passage's beginning on is exact. What lies further is, until that
 * reaches it, what the network does when it begins LEAD characters before: nearly the same, and
 * there at once.
 */

import { spliced } from "../../page/site/draft.js";
import { likeliestFirst, logProbability } from "../../page/site/network/choosing.js";

const STRIDE = 64; // places from one kept state to the next
const LEAD = 256;
const STEPS_A_LOOK = 16; // after which it looks at the clock

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
    this.bits = new Float32Array(0); // the surprise at each place; NaN where there is none
    this.activations = new Int8Array(0); // (places, units), in 127ths of the part's scale
    this.held = new Map(); // from a unit's number to the value that is shown of it, from -1 to 1
    this.free = null; // while a unit is held the surprise at each place without that
    this.states = []; // before every STRIDE-th place that is reached
    this.reached = 0; // places that are exact
    this.going = null; // where work goes on
  }

  get length() {
    return this.ids.length;
  }

  get done() {
    return this.reached === this.length;
  }

  /** Replace the places from `start` to `end`; what stood after them is shown until it is known. */
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

  /** Hold a unit at a value from -1 to 1 of what is shown of it; null lets it go. */
  hold(unit, value) {
    this.free ??= this.bits.slice();
    if (value === null) this.held.delete(unit);
    else this.held.set(unit, value);
    if (!this.held.size) this.free = null;
    this.#forgetFrom(0);
  }

  /** Go on from what is exact until it is all, or until the clock says a time. */
  work(until = Infinity) {
    this.applyHeld();
    let run = this.going?.place === this.reached ? this.going
      : this.#begin(this.#keptBefore(this.reached));
    while (this.reached < this.length) {
      run = this.#run(run, Math.min(this.length, run.place + STEPS_A_LOOK), true);
      this.reached = Math.max(this.reached, run.place);
      if (run.place === this.reached && performance.now() > until) break;
    }
    // the network's own scores are overwritten by whoever uses it next
    this.going = { ...run, logits: run.logits?.slice() ?? null };
  }

  /** See to it that something is shown of the places from `start` to `end`. */
  show(start, end) {
    if (this.reached >= end) return;
    const from = this.#near(start);
    this.#run(this.#begin(from), end, from.exact);
    if (from.exact) this.reached = end;
  }

  /** What is shown of a unit at a place, from -1 to 1. */
  activation(place, unit) {
    return this.activations[place * this.units + unit] / 127;
  }

  /** How many bits more surprising a place is than with no unit held; 0 if that is not known. */
  change(place) {
    return this.free ? this.bits[place] - this.free[place] || 0 : 0;
  }

  /**
   * The likeliest characters at a place and their probabilities, and that of the one that stands
   * there; null where nothing stands before it.
   */
  alternatives(place, count) {
    let last = place - 1;
    while (last >= 0 && this.ids[last] < 0) last--;
    if (last < 0) return null;
    const logits = this.network.step(this.ids[last], this.stateBefore(last));
    const found = (id) => ({ id, probability: Math.exp(logProbability(logits, id)) });
    const came = this.ids[place] ?? -1;
    return {
      likeliest: Array.from(likeliestFirst(logits).subarray(0, count), found),
      came: came < 0 ? null : found(came),
    };
  }

  /** The state before a place. */
  stateBefore(place) {
    const { place: from, state } = this.#begin(this.#near(place));
    for (let at = from; at < place; at++) {
      if (this.ids[at] >= 0) this.network.advance(this.ids[at], state);
    }
    return state;
  }

  /** Let the network hold what is held here. */
  applyHeld() {
    this.network.release();
    for (const [unit, value] of this.held) {
      const part = Math.floor(unit / this.hiddenSize);
      const { layer, letter, scale } = this.parts[part];
      // of a cell its tanh is shown, which never quite is 1
      const held = letter === "c" ? Math.atanh(0.999 * value) : value * scale;
      this.network.hold(layer, unit % this.hiddenSize, held, letter);
    }
  }

  #begin({ place, state }) {
    this.applyHeld();
    return { place, state, logits: null };
  }

  /** Step on to a place; the first surprise is left as it is, for it was foreseen before. */
  #run({ place, state, logits }, end, keeps) {
    for (; place < end; place++) {
      if (keeps && place % STRIDE === 0) this.states[place / STRIDE] = state.slice();
      const id = this.ids[place];
      if (place === 0) this.bits[place] = NaN;
      if (logits && id >= 0) this.bits[place] = -logProbability(logits, id) / Math.LN2;
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

  /** The last state that is kept before a place, and where. */
  #keptBefore(place) {
    const index = Math.min(Math.ceil(place / STRIDE), this.states.length) - 1;
    if (index < 0) return { place: 0, state: this.network.zeroState(), exact: true };
    return { place: index * STRIDE, state: this.states[index].slice(), exact: true };
  }

  /** The same; where that is far, LEAD places before with the state of a beginning. */
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
const tanh = (x) => 1 - 2 / (1 + Math.exp(2 * x)); // half as long as Math.tanh

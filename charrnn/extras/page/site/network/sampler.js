/** Writing text, as charrnn/generation/sampler.py does: the same seed gives the same text. */

import { Chooser, logProbability } from "./choosing.js";
import { CountedNetwork } from "./counts.js";
import { Network } from "./network.js";
import { unpacked } from "./packed.js";
import { Uniforms } from "./random.js";
import { Repetition } from "./repetition.js";
import { Vocabulary } from "./vocabulary.js";

export const MARK = 256; // characters after which the state along a start text is kept

/**
 * How a character is chosen: fields of SamplingParams (charrnn/options/sampling.py).
 *
 * @typedef {object} How
 * @property {number} temperature
 * @property {number | null} [top_k]
 * @property {number | null} [top_p]
 * @property {number | null} [min_p]
 * @property {number} [dry_multiplier]
 * @property {number} [dry_base]
 * @property {number} [dry_allowed_length]
 */

/**
 * What a text goes on from: the id of the last character, which is not taken in yet (null: there
 * is none), and the state before it.
 *
 * @typedef {{last: number | null, state: Float32Array}} Beginning
 */

export class Sampler {
  /**
   * @param {string} text  A packed model.
   * @param {import("./counts.js").Counts | null} [counts]  What is mixed in.
   */
  constructor(text, counts = null) {
    const model = unpacked(text);
    this.model = model;
    this.vocabulary = new Vocabulary(model.vocabulary, model.facts.written, model.facts.curly);
    const network = new Network(model);
    this.network = counts ? new CountedNetwork(network, counts) : network;
    this.read = { primes: null, ids: [], marks: [] }; // the last start text, and states along it
  }

  /**
   * What a text goes on from after the primer and a start text; where there is neither, that is a
   * newline, and in a vocabulary without one nothing.
   *
   * @param {number[]} ids  Of the start text.
   * @param {boolean} [primes]  Whether the primer is read first.
   * @returns {Beginning}
   */
  begin(ids, primes = true) {
    const { read } = this;
    let same = 0;
    while (same < ids.length && ids[same] === read.ids[same]) same++;
    let marks = read.marks.slice(0, 1 + Math.floor(same / MARK));
    if (read.primes !== primes) marks = [this.#beforeText(primes)];
    let place = (marks.length - 1) * MARK;
    for (; place + MARK <= ids.length; place += MARK) {
      marks.push(this.then(marks.at(-1), ids.slice(place, place + MARK)));
    }
    if (ids.length) this.read = { primes, ids, marks };
    const begins = this.then(marks.at(-1), ids.slice(place));
    if (begins.last !== null) return begins;
    return this.then(begins, this.vocabulary.lookUp("\n").filter((id) => id >= 0));
  }

  #beforeText(primes) {
    const nothing = { last: null, state: this.network.zeroState() };
    return primes ? this.then(nothing, this.model.facts.primer ?? []) : nothing;
  }

  /** The same after more characters. */
  then({ last, state }, ids) {
    const after = state.slice();
    for (const id of ids) {
      if (last !== null) this.network.advance(last, after);
      last = id;
    }
    return { last, state: after };
  }

  /**
   * Write without an end: the ids of the new characters, one by one. Until the next is asked for,
   * `network.logits` are the scores of which one was chosen, if there was a last character.
   *
   * @param {Beginning} beginning
   * @param {How} how
   * @param {Uniforms} uniforms
   * @param {number[]} start  Ids of the start text, which penalties go by.
   */
  *write(beginning, how, uniforms, start) {
    let { last } = beginning;
    const state = beginning.state.slice();
    const { size } = this.vocabulary;
    const chooser = new Chooser(size, how);
    const repetition = new Repetition(how, start);
    if (last === null) { // nothing to go on from: any character may be the first
      last = Math.floor(uniforms.next() * size);
      repetition.add(last);
      yield last;
    }
    while (true) {
      const logits = repetition.penalized(this.network.step(last, state));
      last = chooser.choose(logits, uniforms.next());
      repetition.add(last);
      yield last;
    }
  }

  /**
   * The new characters of a text, the same as `Model.generate` gives in Python.
   *
   * @param {object} options  As there, and `sample`, the number of the text.
   * @throws {RangeError} It names what is out of its range, or an unknown character.
   */
  generate({ sample = 0, ...options } = {}) {
    const how = { ...this.model.facts.sampling, ...options };
    const { length, start_text, temperature, seed, top_k, top_p, min_p, prime } = how;
    require(Number.isInteger(length) && length >= 0, "length: must be a whole number, 0 or more");
    require(temperature >= 0 && temperature < Infinity, "temperature: must be 0 or more");
    require(top_k === null || top_k >= 1, "top_k: must be 1 or more");
    require(top_p === null || (top_p > 0 && top_p <= 1), "top_p: must be above 0 and at most 1");
    require(min_p === null || (min_p >= 0 && min_p <= 1), "min_p: must be between 0 and 1");
    require(how.dry_multiplier >= 0, "dry_multiplier: must be 0 or more");
    require(how.dry_base >= 1, "dry_base: must be 1 or more");
    require(how.dry_allowed_length >= 1, "dry_allowed_length: must be 1 or more");
    require(["text", "none"].includes(prime), "prime: must be text or none");
    const start = this.vocabulary.encode(start_text);
    const begins = this.begin(start, prime === "text");
    const uniforms = new Uniforms(seed ?? Math.floor(Math.random() * 2 ** 32), sample);
    const written = this.write(begins, how, uniforms, start);
    const ids = [];
    while (ids.length < length) ids.push(written.next().value);
    return this.vocabulary.decode(ids);
  }

  /** The mean loss, in nats per character, of all characters of a text but the first. */
  score(text) {
    const losses = this.losses(this.vocabulary.encode(text));
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  }

  /** The loss, in nats, of each id but the first, from the zero state. */
  losses(ids) {
    if (ids.length < 2) throw new RangeError("a text needs two characters to have a loss");
    const state = this.network.zeroState();
    return Float64Array.from(ids.slice(1), (id, place) =>
      -logProbability(this.network.step(ids[place], state), id));
  }
}

function require(holds, message) {
  if (!holds) throw new RangeError(message);
}

/** Write text as charrnn/generation/sampler.py does: the same seed gives the same text. */

import { CountedNetwork } from "./counts.js";
import { DryPenalties } from "./dry.js";
import { Network } from "./network.js";
import { unpackModel } from "./packed.js";
import { Uniforms } from "./random.js";
import { logProbability, TokenSampler } from "./token-sampler.js";
import { Vocabulary } from "./vocabulary.js";

export const STRIDE = 256; // characters from one state that is kept to the next

/**
 * The fields of SamplingParams (charrnn/options/sampling.py) that a page knows.
 *
 * @typedef {object} SamplingParams
 * @property {number} temperature
 * @property {number | null} [top_k]
 * @property {number | null} [top_p]
 * @property {number | null} [min_p]
 * @property {number} [dry_multiplier]
 * @property {number} [dry_base]
 * @property {number} [dry_allowed_length]
 */

/**
 * The last character's id (null: there is none), which the network has not read yet, and the state
 * before it.
 *
 * @typedef {{last: number | null, state: Float32Array}} StartState
 */

export class Sampler {
  /**
   * @param {string} text  A packed model.
   * @param {import("./counts.js").Counts | null} [counts]  Mixed with the network.
   */
  constructor(text, counts = null) {
    const model = unpackModel(text);
    this.model = model;
    this.vocabulary = new Vocabulary(model.vocabulary, model.facts.marks, model.facts.curly);
    const network = new Network(model);
    this.network = counts ? new CountedNetwork(network, counts) : network;
    this.read = { primes: null, ids: [], kept: [] }; // the last start text, and states along it
  }

  /**
   * Return the state after the primer and a start text. Without both, read a newline if the model
   * knows it.
   *
   * @param {number[]} ids  Of the start text.
   * @param {boolean} [primes]  Whether the primer is read first.
   * @returns {StartState}
   */
  startState(ids, primes = true) {
    const { read } = this;
    let same = 0;
    while (same < ids.length && ids[same] === read.ids[same]) same++;
    let kept = read.kept.slice(0, 1 + Math.floor(same / STRIDE));
    if (read.primes !== primes) kept = [this.#stateBeforeText(primes)];
    let place = (kept.length - 1) * STRIDE;
    for (; place + STRIDE <= ids.length; place += STRIDE) {
      kept.push(this.readOn(kept.at(-1), ids.slice(place, place + STRIDE)));
    }
    if (ids.length) this.read = { primes, ids, kept };
    const start = this.readOn(kept.at(-1), ids.slice(place));
    if (start.last !== null) return start;
    return this.readOn(start, this.vocabulary.lookUp("\n").filter((id) => id >= 0));
  }

  #stateBeforeText(primes) {
    const zero = { last: null, state: this.network.zeroState() };
    return primes ? this.readOn(zero, this.model.facts.primer ?? []) : zero;
  }

  /** Return the state after more characters. */
  readOn({ last, state }, ids) {
    const after = state.slice();
    for (const id of ids) {
      if (last !== null) this.network.advance(last, after);
      last = id;
    }
    return { last, state: after };
  }

  /**
   * Yield the ids of new characters without an end. `network.logits` has the logits of a character
   * until the next is drawn; the first has none if there was no last character.
   *
   * @param {StartState} start
   * @param {SamplingParams} params
   * @param {Uniforms} uniforms
   * @param {number[]} startIds  Of the start text, for the penalties.
   */
  *write(start, params, uniforms, startIds) {
    let { last } = start;
    const state = start.state.slice();
    const { size } = this.vocabulary;
    const tokenSampler = new TokenSampler(size, params);
    const dry = new DryPenalties(params, startIds);
    if (last === null) { // the model knows no newline: draw the first character evenly
      last = Math.floor(uniforms.next() * size);
      dry.add(last);
      yield last;
    }
    while (true) {
      const logits = dry.apply(this.network.step(last, state));
      last = tokenSampler.draw(logits, uniforms.next());
      dry.add(last);
      yield last;
    }
  }

  /**
   * Return the new characters of a text, the same as `Model.generate` in Python.
   *
   * @param {object} options  Those of `Model.generate`, and `sample`, the number of the text.
   * @throws {RangeError} It names the option that is out of its range, or an unknown character.
   */
  generate({ sample = 0, ...options } = {}) {
    const params = { ...this.model.facts.sampling, ...options };
    const { length, start_text, temperature, seed, top_k, top_p, min_p, prime } = params;
    require(Number.isInteger(length) && length >= 0, "length: must be a whole number, 0 or more");
    require(temperature >= 0 && temperature < Infinity, "temperature: must be 0 or more");
    require(top_k === null || top_k >= 1, "top_k: must be 1 or more");
    require(top_p === null || (top_p > 0 && top_p <= 1), "top_p: must be above 0 and at most 1");
    require(min_p === null || (min_p >= 0 && min_p <= 1), "min_p: must be between 0 and 1");
    require(params.dry_multiplier >= 0, "dry_multiplier: must be 0 or more");
    require(params.dry_base >= 1, "dry_base: must be 1 or more");
    require(params.dry_allowed_length >= 1, "dry_allowed_length: must be 1 or more");
    require(["text", "none"].includes(prime), "prime: must be text or none");
    const startIds = this.vocabulary.encode(start_text);
    const start = this.startState(startIds, prime === "text");
    const uniforms = new Uniforms(seed ?? Math.floor(Math.random() * 2 ** 32), sample);
    const written = this.write(start, params, uniforms, startIds);
    const ids = [];
    while (ids.length < length) ids.push(written.next().value);
    return this.vocabulary.decode(ids);
  }

  /** Return the mean loss, in nats per character, of all characters of a text but the first. */
  score(text) {
    const losses = this.losses(this.vocabulary.encode(text));
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  }

  /** Return the loss, in nats, of each id but the first, from the zero state. */
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

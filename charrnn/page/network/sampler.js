/** Writing text, as charrnn/generation/sampler.py does: the same seed gives the same text. */

import { Chooser, logProbability } from "./choosing.js";
import { Network } from "./network.js";
import { unpacked } from "./packed.js";
import { Uniforms } from "./random.js";
import { Vocabulary } from "./vocabulary.js";

const MARK = 256; // characters after which the state along a start text is kept

/**
 * @typedef {object} How
 * @property {number} [temperature]
 * @property {number | null} [topK]
 * @property {number | null} [topP]
 * @property {number | null} [minP]
 */

/**
 * What a text goes on from: the id of the last character, which is not taken in yet (null: there
 * is none), and the state before it.
 *
 * @typedef {{last: number | null, state: Float32Array}} Beginning
 */

export class Sampler {
  /** @param {string} text  A packed model. */
  constructor(text) {
    const model = unpacked(text);
    this.model = model;
    this.vocabulary = new Vocabulary(model.vocabulary, model.facts.written);
    this.network = new Network(model);
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
    this.read = { primes, ids, marks };
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
   */
  *write(beginning, how, uniforms) {
    let { last } = beginning;
    const state = beginning.state.slice();
    const { size } = this.vocabulary;
    const chooser = new Chooser(size, how);
    if (last === null) { // nothing to go on from: any character may be the first
      last = Math.floor(uniforms.next() * size);
      yield last;
    }
    while (true) {
      last = chooser.choose(this.network.step(last, state), uniforms.next());
      yield last;
    }
  }

  /**
   * The new characters of a text, the same as `Model.generate` gives in Python.
   *
   * @param {How & {length?: number, start_text?: string, seed?: number, sample?: number}} options
   */
  generate({ length = 2000, start_text = "", temperature = 0.8, seed = null, sample = 0,
    top_k = null, top_p = null, min_p = null, prime = "text" } = {}) {
    const begins = this.begin(this.vocabulary.encode(start_text), prime === "text");
    const how = { temperature, topK: top_k, topP: top_p, minP: min_p };
    const uniforms = new Uniforms(seed ?? Math.floor(Math.random() * 2 ** 32), sample);
    const written = this.write(begins, how, uniforms);
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

/** Write text like charrnn/generation/sampler.py: the same seed gives the same text. */

import { DryPenalties } from "./dry.js";
import { WordCosts } from "./new-words.js";
import { Uniforms } from "./random.js";
import { computeLogProb, makeBias, makeDraw } from "./draw.js";
import { Vocabulary } from "./vocabulary.js";

const STRIDE = 256; // characters between two stored states

/**
 * The fields of SamplingParams (charrnn/options/sampling.py) that a page supports.
 *
 * @typedef {object} SamplingParams
 * @property {number} temperature
 * @property {number | null} [top_k]
 * @property {number | null} [top_p]
 * @property {number | null} [min_p]
 * @property {number | null} [new_words]
 * @property {string | null} [ban]
 * @property {number} [dry_multiplier]
 * @property {number} [dry_base]
 * @property {number} [dry_allowed_length]
 */

/**
 * The id of the last character, which the network has not read yet (null: no character), and the
 * state before that character.
 *
 * @typedef {{last: number | null, state: Float32Array}} StartState
 */

export class Sampler {
  /**
   * @param {import("./packed.js").Header} header  Of a packed model.
   * @param {import("./network.js").Network | import("./counts.js").CountedNetwork} network
   */
  constructor(header, network) {
    this.header = header;
    this.vocabulary = new Vocabulary(header.vocabulary, header.marks, header.curly);
    this.network = network;
    this.cache = { ids: [], states: [] }; // the last start text and its states
  }

  /**
   * Return the state after the primer and a start text. If both are empty, read a newline if the
   * vocabulary has it.
   *
   * @param {number[]} ids  The ids of the start text.
   * @returns {StartState}
   */
  startState(ids) {
    const { cache } = this;
    let common = 0;
    while (common < ids.length && ids[common] === cache.ids[common]) common++;
    const states = cache.states.slice(0, 1 + Math.floor(common / STRIDE));
    if (!states.length) states.push(this.#readPrimer());
    let place = (states.length - 1) * STRIDE;
    for (; place + STRIDE <= ids.length; place += STRIDE) {
      states.push(this.readOn(states.at(-1), ids.slice(place, place + STRIDE)));
    }
    if (ids.length) this.cache = { ids, states };
    const start = this.readOn(states.at(-1), ids.slice(place));
    if (start.last !== null) return start;
    return this.readOn(start, this.vocabulary.lookUp("\n").filter((id) => id >= 0));
  }

  #readPrimer() {
    const zero = { last: null, state: this.network.zeroState() };
    return this.readOn(zero, this.header.primer);
  }

  /** Return the state after reading more characters. */
  readOn({ last, state }, ids) {
    const after = state.slice();
    for (const id of ids) {
      if (last !== null) this.network.advance(last, after);
      last = id;
    }
    return { last, state: after };
  }

  /**
   * Yield the ids of new characters, without end. Until the next draw, `network.logits` are the
   * logits of the latest id. If the start has no last character, the first id has no logits.
   *
   * @param {StartState} start
   * @param {SamplingParams} params
   * @param {Uniforms} uniforms
   * @param {number[]} startIds  The ids of the start text, for penalties and runs of blanks.
   */
  *write(start, params, uniforms, startIds) {
    let { last } = start;
    const state = start.state.slice();
    const ids = [...startIds];
    const { constants } = this.header;
    const words = new WordCosts(this.network.counts, params, constants);
    const bias = makeBias(this.vocabulary, params.ban);
    if (last === null) { // the vocabulary has no newline: draw the first character evenly
      const allowed = [...this.vocabulary.characters.keys()]
        .filter((id) => bias?.[id] !== -Infinity);
      last = allowed[Math.floor(uniforms.next() * allowed.length)];
      ids.push(last);
      yield last;
    }
    const draw = makeDraw(this.vocabulary, params, ids, constants, this.header.punctuation);
    const dry = new DryPenalties(params, ids, constants);
    let isStarted = ids.length > startIds.length;
    while (true) {
      let logits = this.network.step(last, state);
      if (bias) logits = logits.map((logit, id) => logit + bias[id]);
      last = draw(words.apply(dry.apply(logits), state, isStarted), uniforms.next());
      dry.add(last);
      isStarted = true;
      yield last;
    }
  }

  /**
   * Return the new characters of a text, like `Model.generate` in Python.
   *
   * @param {object} options  The options of `Model.generate`, and `sample`, the number of the text.
   * @throws {RangeError} Names the option that is out of range, or an unknown character.
   */
  generate({ sample = 0, ...options } = {}) {
    const { sampling } = this.header;
    for (const name of Object.keys(options)) require(name in sampling, `${name}: no such option`);
    const params = { ...sampling, ...options };
    const { length, start_text, temperature, seed, top_k, top_p, min_p, until } = params;
    require(Number.isInteger(length) && length >= 0, "length: must be a whole number, 0 or more");
    require(temperature >= 0 && temperature < Infinity, "temperature: must be 0 or more");
    require(top_k === null || top_k >= 1, "top_k: must be 1 or more");
    require(top_p === null || (top_p > 0 && top_p <= 1), "top_p: must be above 0 and at most 1");
    require(min_p === null || (min_p >= 0 && min_p <= 1), "min_p: must be between 0 and 1");
    const newWords = params.new_words ?? 1;
    require(newWords >= 0 && newWords <= 1, "new_words: must be between 0 and 1");
    require(params.dry_multiplier >= 0, "dry_multiplier: must be 0 or more");
    require(params.dry_base >= 1, "dry_base: must be 1 or more");
    require(params.dry_allowed_length >= 1, "dry_allowed_length: must be 1 or more");
    require(until !== "", "until: must not be empty");
    const startIds = this.vocabulary.encodePrompt(start_text);
    const start = this.startState(startIds);
    const uniforms = new Uniforms(seed ?? Math.floor(Math.random() * 2 ** 32), sample);
    const newIds = this.write(start, params, uniforms, startIds);
    const end = until && this.vocabulary.split(until);
    let text = "";
    for (let count = 0; count < length; count++) {
      text += this.vocabulary.characters[newIds.next().value];
      if (end && text.endsWith(end)) return text.slice(0, -end.length);
    }
    return text;
  }

  /** Return the mean loss, in nats per character, of a text without its first character. */
  score(text) {
    const losses = this.losses(this.vocabulary.encode(text));
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  }

  /** Return the loss, in nats, of each id after the first. Read from the zero state. */
  losses(ids) {
    if (ids.length < 2) throw new RangeError("text: must have 2 or more characters");
    const state = this.network.zeroState();
    return Float64Array.from(ids.slice(1), (id, place) =>
      -computeLogProb(this.network.step(ids[place], state), id));
  }
}

function require(isValid, message) {
  if (!isValid) throw new RangeError(message);
}

/** A model that writes: unpacked, or learnt from a text. All of the engine is behind it. */

import { Continuation } from "./continuation.js";
import { Copies } from "./copies.js";
import { CountedNetwork, Counts } from "./counts.js";
import { computeLogProb } from "./draw.js";
import { learn } from "./learn.js";
import { Lines, listChecksums } from "./lines.js";
import { Network, NoNetwork } from "./network.js";
import { findNextWords } from "./next-words.js";
import { pack, unpack } from "./packed.js";
import { Sampler } from "./sampler.js";
import { isWrapped, joinLines } from "./wrap.js";

const WORDS = 24; // words to return at a place

export class Model {
  /**
   * @param {import("./packed.js").Header} header
   * @param {Record<string, ArrayLike<number>>} arrays
   * @param {string | null} text  The training text, if it is known.
   */
  constructor(header, arrays, text = null) {
    Object.assign(this, { header, arrays, jobs: new Map(), numJobs: 0 });
    const size = header.vocabulary.tokens.length;
    const network = header.network ? new Network(header.network, size, arrays) : new NoNetwork(size);
    const counts = header.counts && new Counts(header.counts, arrays);
    this.sampler = new Sampler(header, counts ? new CountedNetwork(network, counts) : network);
    this.vocabulary = this.sampler.vocabulary;
    this.lines = arrays.lines ? new Lines(arrays.lines) : null;
    this.copies = text === null ? null : new Copies(text);
  }

  /** Return a packed model: bytes, or base64. */
  static async unpack(data) {
    try {
      const { header, arrays } = await unpack(data);
      return new Model(header, arrays);
    } catch {
      throw new Error("This model is damaged: get it again.");
    }
  }

  /**
   * Return a model that has learnt a text by counting.
   *
   * @param {{name: string, text: string}} given
   * @param {object} facts  Those of charrnn/extras/page/packing.py.
   * @param {(step: string) => void} report  Called with what is done next, for readers.
   */
  static learn({ name, text: given }, { counting, model }, report) {
    const isJoined = isWrapped(given, counting);
    const text = isJoined ? joinLines(given, counting) : given;
    const learnt = learn(text, counting, report);
    const { tokens, isCode, isList, primer, punctuation, packed, arrays } = learnt;
    const licence = isJoined
      ? "The text was wrapped at a width: the lines of each paragraph were joined."
      : "Counted in this browser; with a network (charrnn train) it writes better from about 60 kB "
        + "on.";
    const header = {
      ...model,
      about: { title: name, licence, is_code: isCode, is_list: isList },
      keep: `text.${hashText(name)}`, // by its name, since a text grows
      vocabulary: { tokens, bytes: false },
      primer: [...primer].map((character) => tokens.indexOf(character)),
      punctuation,
      network: null,
      counts: packed,
    };
    const lines = listChecksums(text);
    return new Model(header, lines ? { ...arrays, lines } : arrays, text);
  }

  /** Return what a page shows of the model and offers for it. */
  describe() {
    const { header, sampler, copies, vocabulary } = this;
    return {
      about: header.about,
      keep: header.keep,
      sampling: header.sampling,
      knowsWords: Boolean(sampler.network.counts?.words),
      hasText: copies !== null,
      vocabulary: vocabulary.characters,
    };
  }

  /** Return the model in base64. */
  pack() {
    return pack(this.header, this.arrays);
  }

  generate(options) {
    return this.sampler.generate(options);
  }

  /** Return the mean loss, in nats per character, of a text without its first character. */
  score(text) {
    return this.sampler.score(text);
  }

  /**
   * Start to write texts, and return a number for `write`.
   *
   * @param {object} request  `prompt`, `n`, `seed`, `max_tokens`, `stop`, `copiesLess`, and params of
   *   sampling.
   */
  start({ prompt, n, seed, max_tokens, stop, copiesLess, ...given }) {
    const params = { ...this.header.sampling, ...given };
    const ids = this.#fit(prompt);
    const start = { ids, state: this.sampler.startState(ids) };
    const request = { n, seed, max_tokens, stop, params };
    const copies = copiesLess ? this.copies : null;
    const texts = Array.from({ length: n }, (_, index) =>
      new Continuation(this.sampler, start, request, index, copies));
    this.jobs.set(++this.numJobs, texts);
    return this.numJobs;
  }

  /**
   * Write a piece of each text that is not complete, and return all texts so far.
   *
   * @param {number} job
   * @param {number[]} complete  The indices of texts that the caller has enough of.
   */
  write(job, complete) {
    const texts = this.jobs.get(job);
    const open = texts.filter(({ index, isDone }) => !isDone && !complete.includes(index));
    for (const text of open) text.writePiece();
    return {
      texts: texts.map(({ text }) => text),
      stopped: texts.filter(({ isStopped }) => isStopped).map(({ index }) => index),
      isDone: open.every(({ isDone }) => isDone),
    };
  }

  /** Forget texts. */
  stop(job) {
    this.jobs.delete(job);
  }

  /** Return the surprise, in bits, of each code unit of a text; Infinity if it is not known. */
  findSurprise(text) {
    const { last, state } = this.sampler.startState([]);
    let before = last;
    return Float32Array.from(this.vocabulary.fit(text).flatMap(({ text: character, ids }) => {
      let bits = ids.length ? 0 : Infinity;
      for (const id of ids) {
        const logits = before === null ? null : this.sampler.network.step(before, state);
        bits -= logits ? computeLogProb(logits, id) / Math.LN2 : NaN;
        before = id;
      }
      return Array(character.length).fill(bits);
    }));
  }

  /** Return the likeliest words and marks after a text, the likeliest first. */
  findNextWords(text) {
    const { vocabulary, sampler: { network } } = this;
    const { last, state } = this.sampler.startState(this.#fit(text));
    if (last === null) return [];
    return findNextWords(network, vocabulary, network.step(last, state), state, WORDS)
      .map((word) => ({ text: vocabulary.join(word.text), logprob: Math.log(word.probability) }));
  }

  /** Return the ranges of a text, of `least` characters or more, that the training text contains. */
  findCopies(text, least) {
    return this.copies?.find(text, least) ?? [];
  }

  /** Return the indices of lines of the training text. */
  findTrainingLines(lines) {
    return [...lines.keys()].filter((index) => this.lines?.has(lines[index]));
  }

  #fit(text) {
    return this.vocabulary.fit(text).flatMap(({ ids }) => ids);
  }
}

/** Return the interface of a packed model for scripts, with the methods of Model in Python. */
export async function openInterface(data) {
  const model = await Model.unpack(data);
  return {
    ready: true,
    vocabulary: model.vocabulary.characters,
    generate: async (options) => model.generate(options),
    score: async (text) => model.score(text),
  };
}

/** Return a name for a text: its length, and its hash by Fowler, Noll and Vo. */
function hashText(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return `${text.length}-${(hash >>> 0).toString(36)}`;
}

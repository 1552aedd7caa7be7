/** A writer with a network in the page. */

import { Uniforms } from "./network/random.js";
import { STRIDE } from "./network/sampler.js";
import { computeLogProb, rankIds } from "./network/draw.js";
import { findNextWords } from "./network/next-words.js";
import { Slices } from "./slices.js";
import { WriterError } from "./writer.js";

const LIKELIEST = 20; // characters to return at a place
const WORDS = 9; // words to return at a place
const PIECE = 32; // characters of a continuation before the next one continues

/**
 * @param {import("./network/sampler.js").Sampler} sampler
 * @param {import("./network/lines.js").Lines | null} lines  The lines of the training text.
 * @returns {import("./writer.js").Writer}
 */
export function createNetworkWriter(sampler, lines) {
  const { vocabulary, model } = sampler;
  const { about, sampling } = model.facts;

  /** Return the state after a prompt, or null after an abort. */
  async function read(ids, slices, signal) {
    // the sampler stores states along the text, so reading in parts costs nothing
    for (let length = STRIDE; length < ids.length && !signal.aborted; length += STRIDE) {
      sampler.startState(ids.slice(0, length));
      await slices.pause();
    }
    return signal.aborted ? null : sampler.startState(ids);
  }

  /** Write all continuations in turns until they are complete. */
  async function write(continuations, slices, signal, onPiece) {
    const unfinished = [...continuations];
    while (unfinished.length && !signal.aborted) {
      const continuation = unfinished.shift();
      onPiece(continuation.index, continuation.writePiece());
      if (continuation.charactersLeft > 0) unfinished.push(continuation);
      await slices.pause();
    }
  }

  return {
    about,
    sampling,
    isFast: true,

    async fetchModels() {
      const { title: id, is_list, is_code } = about;
      return [{ id, is_list, is_code, knows_words: sampler.knownWords !== null }];
    },

    async complete({ prompt, n, seed, signal, ...params }, onPiece) {
      try {
        const slices = new Slices();
        const ids = vocabulary.fit(prompt).flatMap((character) => character.ids);
        const start = await read(ids, slices, signal);
        if (!start) return new Set();
        const continuations = Array.from({ length: n }, (_, index) => {
          const uniforms = new Uniforms(seed, index);
          const newIds = sampler.write(start, { ...sampling, ...params }, uniforms, ids);
          return new Continuation(sampler, start, newIds, index, params);
        });
        await write(continuations, slices, signal, onPiece);
        const stopped = continuations.filter(({ isStopped }) => isStopped);
        return new Set(stopped.map(({ index }) => index));
      } catch (error) {
        throw error instanceof RangeError ? new WriterError(error.message) : error;
      }
    },

    async findCopies() {
      return null; // the page has no training text
    },

    async findTrainingLines(_, texts) {
      return lines && new Set([...texts.keys()].filter((index) => lines.has(texts[index])));
    },

    async findLikeliest(_, text) {
      const ids = vocabulary.fit(text).flatMap((character) => character.ids);
      const start = await read(ids, new Slices(), new AbortController().signal);
      if (start.last === null) return [];
      const logits = sampler.network.step(start.last, start.state);
      return [...rankIds(logits).subarray(0, LIKELIEST)]
        .map((id) => ({ text: vocabulary.characters[id], logprob: computeLogProb(logits, id) }))
        .filter(({ text: character }) => character.isWellFormed()); // without parts of characters
    },

    async findNextWords(_, text) {
      const ids = vocabulary.fit(text).flatMap((character) => character.ids);
      const { last, state } = await read(ids, new Slices(), new AbortController().signal);
      if (last === null) return [];
      const { network } = sampler;
      return findNextWords(network, vocabulary, network.step(last, state), state, WORDS)
        .map((word) => ({ text: vocabulary.join(word.text), logprob: Math.log(word.probability) }));
    },

    async findReplacements(_, characters) {
      const unknown = characters.filter((character) => vocabulary.lookUp(character).includes(-1));
      return Object.fromEntries(unknown.flatMap((character) => vocabulary.fit(character))
        .map(({ text, ids }) => [text, vocabulary.decode(ids)]));
    },

    async score(_, text) {
      const { last, state } = sampler.startState([]);
      const { network } = sampler;
      const slices = new Slices();
      const scored = [];
      let before = last;
      for (const { text: character, ids } of vocabulary.fit(text)) {
        let logprob = ids.length ? 0 : NaN;
        for (const id of ids) {
          logprob += before === null ? NaN : computeLogProb(network.step(before, state), id);
          before = id;
        }
        scored.push({ text: character, logprob });
        await slices.pause();
      }
      return scored;
    },
  };
}

/** One of several texts that are written in turns. */
class Continuation {
  constructor(sampler, start, newIds, index, { max_tokens, stop }) {
    this.sampler = sampler;
    this.newIds = newIds;
    this.index = index;
    this.charactersLeft = max_tokens;
    this.stop = stop ?? "";
    this.isStopped = false; // whether the text has ended before `stop`
    this.held = []; // the last characters, which may be the start of `stop`
    this.lacksLogits = start.last === null; // see Sampler.write
    this.decode = sampler.vocabulary.makeDecoder();
    this.logprob = 0; // the sum over the bytes of an incomplete character
  }

  /** Write and return the next characters. */
  writePiece() {
    const { network } = this.sampler;
    const characters = [];
    for (let count = 0; count < PIECE && this.charactersLeft > 0; count++) {
      const id = this.newIds.next().value;
      this.charactersLeft--;
      this.logprob += this.lacksLogits ? NaN : computeLogProb(network.logits, id);
      this.lacksLogits = false;
      const text = this.decode(id, this.charactersLeft === 0);
      if (text === "") continue;
      this.held.push({ text, logprob: this.logprob });
      this.logprob = 0;
      characters.push(...this.#releaseHeld());
      if (this.isStopped) return characters;
    }
    return this.charactersLeft ? characters : [...characters, ...this.held];
  }

  /** Remove and return the held characters that cannot be part of `stop`; end before `stop`. */
  #releaseHeld() {
    const text = this.held.map((character) => character.text).join("");
    if (this.stop && text === this.stop) {
      this.isStopped = true;
      this.charactersLeft = 0;
    }
    let count = 0;
    let start = 0;
    while (start < text.length && !this.stop.startsWith(text.slice(start))) {
      start += this.held[count++].text.length;
    }
    return this.held.splice(0, count);
  }
}

/** A writer that is a network in the page itself. */

import { Uniforms } from "./network/random.js";
import { STRIDE } from "./network/sampler.js";
import { sortByLogit, computeLogProb } from "./network/token-sampler.js";
import { WriterError } from "./writer.js";

const LIKELIEST = 20; // characters that the page shows at a place
const SLICE = 16; // milliseconds of writing before the page has its turn
const PIECE = 32; // characters of one continuation before the next has its turn

/**
 * @param {import("./network/sampler.js").Sampler} sampler
 * @param {import("./network/lines.js").Lines | null} lines  Of the training text.
 * @returns {import("./writer.js").Writer}
 */
export function networkWriter(sampler, lines) {
  const { vocabulary, model } = sampler;
  const { about, sampling } = model.facts;

  /** Return the state after a prompt, or null if it was cancelled. */
  async function read(ids, slices, signal) {
    // the sampler keeps states along the text, so reading in parts costs nothing
    for (let known = STRIDE; known < ids.length && !signal.aborted; known += STRIDE) {
      sampler.startState(ids.slice(0, known));
      await slices.pause();
    }
    return signal.aborted ? null : sampler.startState(ids);
  }

  /** Let the continuations write in turn until all are complete. */
  async function write(continuations, slices, signal, onPiece) {
    const going = [...continuations];
    while (going.length && !signal.aborted) {
      const one = going.shift();
      onPiece(one.index, one.piece());
      if (one.left > 0) going.push(one);
      await slices.pause();
    }
  }

  return {
    about,
    sampling,
    lists: about.is_list ? [about.title] : [],
    instant: true,

    async models() {
      return [about.title];
    },

    async complete({ prompt, n, seed, signal, ...params }, onPiece) {
      try {
        const slices = new Slices();
        const ids = vocabulary.fit(prompt).flatMap((character) => character.ids);
        const start = await read(ids, slices, signal);
        if (!start) return;
        const continuations = Array.from({ length: n }, (_, index) => {
          const uniforms = new Uniforms(seed, index);
          const written = sampler.write(start, { ...sampling, ...params }, uniforms, ids);
          return new Continuation(sampler, start, written, index, params);
        });
        await write(continuations, slices, signal, onPiece);
      } catch (error) {
        throw error instanceof RangeError ? new WriterError(error.message) : error;
      }
    },

    async copied() {
      return null; // the page has no training text
    },

    async inText(_, texts) {
      return lines && new Set([...texts.keys()].filter((number) => lines.has(texts[number])));
    },

    async likeliest(_, text) {
      const ids = vocabulary.fit(text).flatMap((character) => character.ids);
      const start = await read(ids, new Slices(), new AbortController().signal);
      if (start.last === null) return [];
      const logits = sampler.network.step(start.last, start.state);
      return [...sortByLogit(logits).subarray(0, LIKELIEST)]
        .map((id) => ({ text: vocabulary.characters[id], logprob: computeLogProb(logits, id) }))
        .filter(({ text: character }) => character.isWellFormed()); // no part of a character
    },

    async readAs(_, characters) {
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
          const known = before !== null;
          logprob += known ? computeLogProb(network.step(before, state), id) : NaN;
          before = id;
        }
        scored.push({ text: character, logprob });
        await slices.pause();
      }
      return scored;
    },
  };
}

/** One of several texts that are being written. */
class Continuation {
  constructor(sampler, start, written, index, { max_tokens, stop }) {
    this.sampler = sampler;
    this.written = written;
    this.index = index;
    this.left = max_tokens;
    this.stop = stop;
    this.isFirst = start.last === null; // such a first character has no probability
    this.decoder = sampler.vocabulary.makeDecoder();
    this.logprob = 0; // of the tokens of an incomplete character
  }

  /** Return the next characters. */
  piece() {
    const { network } = this.sampler;
    const characters = [];
    for (let count = 0; count < PIECE && this.left > 0; count++) {
      const id = this.written.next().value;
      this.left--;
      this.logprob += this.isFirst ? NaN : computeLogProb(network.logits, id);
      this.isFirst = false;
      const text = this.decoder(id, this.left === 0);
      if (text === "") continue;
      if (text === this.stop) this.left = 0;
      if (text === this.stop) break;
      characters.push({ text, logprob: this.logprob });
      this.logprob = 0;
    }
    return characters;
  }
}

/** Work in slices; between them the page shows the text and handles events. */
class Slices {
  #ends = performance.now() + SLICE;

  /** Give the page its turn if the slice is over. */
  async pause() {
    if (performance.now() < this.#ends) return;
    await turnOfThePage();
    this.#ends = performance.now() + SLICE;
  }
}

/** Resolve after the pending events. A timer would wait some milliseconds longer. */
function turnOfThePage() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** A writer that is a network in the page itself. */

import { likeliestFirst, logProbability } from "./network/choosing.js";
import { Uniforms } from "./network/random.js";
import { MARK } from "./network/sampler.js";
import { WriterError } from "./writer.js";

const LIKELIEST = 20; // characters that are told at a place
const SLICE = 16; // milliseconds for which it writes before the page has its turn
const PIECE = 32; // characters of one continuation before the next has its turn

/**
 * @param {import("./network/sampler.js").Sampler} sampler
 * @param {import("./network/lines.js").Lines | null} lines  Those of the training text.
 * @returns {import("./writer.js").Writer}
 */
export function networkWriter(sampler, lines) {
  const { vocabulary, model } = sampler;
  const { about, sampling } = model.facts;

  /** What a prompt's continuations go on from. */
  async function read(ids, slices, signal) {
    // the sampler keeps how far it has read
    for (let known = MARK; known < ids.length && !signal.aborted; known += MARK) {
      sampler.begin(ids.slice(0, known));
      await slices.pause();
    }
    return signal.aborted ? null : sampler.begin(ids);
  }

  /** Have each continuation write in turn until all have ended. */
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

    async complete({ prompt, n, seed, signal, ...how }, onPiece) {
      try {
        const slices = new Slices();
        const ids = vocabulary.fitted(prompt).flatMap((character) => character.ids);
        const begins = await read(ids, slices, signal);
        if (!begins) return;
        const continuations = Array.from({ length: n }, (_, index) => {
          const uniforms = new Uniforms(seed, index);
          const written = sampler.write(begins, { ...sampling, ...how }, uniforms, ids);
          return new Continuation(sampler, begins, written, index, how);
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
      const ids = vocabulary.fitted(text).flatMap((character) => character.ids);
      const begins = await read(ids, new Slices(), new AbortController().signal);
      if (begins.last === null) return [];
      const logits = sampler.network.step(begins.last, begins.state);
      return [...likeliestFirst(logits).subarray(0, LIKELIEST)]
        .map((id) => ({ text: vocabulary.characters[id], logprob: logProbability(logits, id) }))
        .filter(({ text: character }) => character.isWellFormed()); // no byte of a character
    },

    async readAs(_, characters) {
      const unknown = characters.filter((character) => vocabulary.lookUp(character).includes(-1));
      return Object.fromEntries(unknown.flatMap((character) => vocabulary.fitted(character))
        .map(({ text, ids }) => [text, vocabulary.decode(ids)]));
    },

    async score(_, text) {
      const { last, state } = sampler.begin([]);
      const { network } = sampler;
      const slices = new Slices();
      const scored = [];
      let before = last;
      for (const { text: character, ids } of vocabulary.fitted(text)) {
        let logprob = ids.length ? 0 : NaN;
        for (const id of ids) {
          const known = before !== null;
          logprob += known ? logProbability(network.step(before, state), id) : NaN;
          before = id;
        }
        scored.push({ text: character, logprob });
        await slices.pause();
      }
      return scored;
    },
  };
}

/** One of several texts, while it is written. */
class Continuation {
  constructor(sampler, begins, written, index, { max_tokens, stop }) {
    this.sampler = sampler;
    this.written = written;
    this.index = index;
    this.left = max_tokens;
    this.stop = stop;
    this.isFirst = begins.last === null; // and then it has no probability
    this.decoder = sampler.vocabulary.decoder();
    this.logprob = 0; // of the tokens of a character that is not whole yet
  }

  /** The next characters. */
  piece() {
    const { network } = this.sampler;
    const characters = [];
    for (let count = 0; count < PIECE && this.left > 0; count++) {
      const id = this.written.next().value;
      this.left--;
      this.logprob += this.isFirst ? NaN : logProbability(network.logits, id);
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

/** Work in slices, between which the page shows what was written and hears what is pressed. */
class Slices {
  #ends = performance.now() + SLICE;

  /** Let the page have its turn if the slice is over. */
  async pause() {
    if (performance.now() < this.#ends) return;
    await turnOfThePage();
    this.#ends = performance.now() + SLICE;
  }
}

/** Resolves once what waits has been done; a timer would wait for milliseconds on top. */
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

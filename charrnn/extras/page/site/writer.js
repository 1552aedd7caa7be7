/**
 * What the page asks of whoever writes: a server (writer-http.js) or a network in the page itself.
 *
 * @typedef {object} Character  One character that was written.
 * @property {string} text
 * @property {number} logprob  Natural logarithm of its probability; NaN where it is not known.
 *
 * @typedef {object} Request
 * @property {string} model  One of the names that `models` gave.
 * @property {string} prompt  The text to go on from; may be empty.
 * @property {number} max_tokens  How many characters to write.
 * @property {string} [stop]  The character before which a text ends.
 * @property {number} temperature
 * @property {number} top_p
 * @property {number} min_p
 * @property {number} dry_multiplier
 * @property {null} [logprobs]  Null where no probabilities are wanted, which is faster.
 * @property {number} n  How many texts to write at the same time.
 * @property {number} seed
 * @property {AbortSignal} signal  Stops the writing; `complete` then ends without an error.
 *
 * @typedef {object} About
 * @property {string} title
 * @property {[string, string][]} card  Facts about the model, each with its name.
 * @property {string} licence
 * @property {boolean} even  Whether its text is best read in letters of one width.
 * @property {boolean} is_list
 *
 * @typedef {object} Writer
 * @property {() => Promise<string[]>} models
 * @property {Record<string, number>} sampling  Defaults of what is chosen, once `models` has answered.
 * @property {string[]} lists  The models that learnt from lists, once `models` has answered.
 * @property {(request: Request, onPiece: (index: number, characters: Character[]) => void)
 *   => Promise<void>} complete  Calls `onPiece` as text is written, for each continuation.
 * @property {(model: string, text: string) => Promise<[number, number][] | null>} copied  The
 *   parts of a text that stand in the model's training text, as places in the string; null if this
 *   writer cannot tell.
 * @property {(model: string, lines: string[]) => Promise<Set<number> | null>} inText  Which of
 *   these are lines of the model's training text, by their numbers; null if it cannot tell.
 * @property {(model: string, text: string) => Promise<Character[]>} score  The characters of a
 *   text, each with its probability after those before it.
 * @property {(model: string, text: string) => Promise<Character[]>} likeliest  The characters that
 *   are likeliest after a text, the likeliest first, each with its probability.
 * @property {(model: string, characters: string[]) => Promise<Record<string, string | null>>}
 *   readAs  What the characters are read as that the model does not know: others, nothing (""), or
 *   null if it refuses a text with them.
 * @property {boolean} [instant]  Whether it writes so soon that it can write along as one types.
 * @property {About} [about]  What a page with one model only says of it.
 * @property {(token: string) => void} [useToken]  Called with what the reader typed after an
 *   error with `wantsToken`.
 */

/** Something went wrong that the reader is told in these words. */
export class WriterError extends Error {
  /** @param {string} message @param {{wantsToken?: boolean}} [more] */
  constructor(message, { wantsToken = false } = {}) {
    super(message);
    this.wantsToken = wantsToken;
  }
}

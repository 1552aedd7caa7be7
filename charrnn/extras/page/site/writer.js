/**
 * The interface of the page to a model, on a server (writer-http.js) or in it (writer-network.js).
 *
 * @typedef {object} Character  A character of a text.
 * @property {string} text
 * @property {number} logprob  The natural logarithm of its probability; NaN if unknown.
 *
 * @typedef {object} Request
 * @property {string} model  One of the names from `fetchModels`.
 * @property {string} prompt  The text to continue; may be empty.
 * @property {number} max_tokens  The number of characters to write.
 * @property {string | null} [stop]  A text before which each text ends.
 * @property {number} temperature
 * @property {number} top_p
 * @property {number} min_p
 * @property {number | null} new_words
 * @property {number} dry_multiplier
 * @property {number} dry_allowed_length
 * @property {string | null} ban
 * @property {null} [logprobs]  Null: leave out the probabilities, which is faster.
 * @property {number} n  The number of texts to write at the same time.
 * @property {number} seed
 * @property {AbortSignal} signal  Stops `complete`, which then returns without an error.
 *
 * @typedef {object} About
 * @property {string} title
 * @property {[string, string][]} card  Names and values of facts about the model.
 * @property {string} licence
 * @property {boolean} is_code  Whether a fixed-width font is best for its text.
 * @property {boolean} is_list  Whether the training text is a list.
 *
 * @typedef {object} ModelCard
 * @property {string} id  The name of the model.
 * @property {boolean} is_list  Whether the training text is a list.
 * @property {boolean} is_code  Whether a fixed-width font is best for its text.
 * @property {boolean} knows_words  Whether `new_words` makes a difference.
 *
 * @typedef {object} Writer
 * @property {() => Promise<ModelCard[]>} fetchModels  Returns the models.
 * @property {Record<string, number>} sampling  Defaults of sampling, set by `fetchModels`.
 * @property {{n?: number, max_tokens?: number, prompt?: number}} [limits]  The most of a request,
 *   set by `fetchModels`.
 * @property {(request: Request, onPiece: (index: number, characters: Character[]) => void)
 *   => Promise<Set<number>>} complete  Calls `onPiece` with new text of each continuation. Returns
 *   the indices of the texts that ended before `stop`.
 * @property {(model: string, text: string) => Promise<[number, number][] | null>} findCopies
 *   Returns the ranges of a text, in code units, that the training text contains; null if the
 *   writer has no training text.
 * @property {(model: string, lines: string[]) => Promise<Set<number> | null>} findTrainingLines
 *   Returns the indices of lines of the training text; null if the writer has no training text.
 * @property {(model: string, text: string) => Promise<Character[]>} score  Returns the characters
 *   of a text, each with its probability after the text before it.
 * @property {(model: string, text: string) => Promise<Character[]>} findLikeliest  Returns the
 *   likeliest characters after a text, the likeliest first.
 * @property {(model: string, text: string) => Promise<Character[]>} findNextWords  Returns the
 *   likeliest words and marks after a text, the likeliest first, as `Model.next_words` in Python.
 * @property {(model: string, characters: string[]) => Promise<Record<string, string | null>>}
 *   findReplacements  Returns the replacements of unknown characters: other characters, "" if the
 *   model skips them, or null if it refuses a text with them.
 * @property {boolean} [isFast]  Whether it is fast enough to write while the reader types.
 * @property {About} [about]  The description of the only model.
 * @property {(token: string) => void} [useToken]  Called with the token that the reader entered
 *   after an error with `needsToken`.
 */

/** An error with a message for the reader. */
export class WriterError extends Error {
  /** @param {string} message @param {{status?: number}} [options]  The status of HTTP. */
  constructor(message, { status } = {}) {
    super(message);
    this.status = status;
    this.needsToken = status === 401;
    this.isQuiet = false; // whether the page keeps it from the reader, who has asked for nothing
  }
}

/**
 * DRY penalties, as in charrnn/generation/dry.py: a character that would repeat a sequence of
 * the text becomes less likely.
 */

export class DryPenalties {
  /**
   * @param {import("./sampler.js").SamplingParams} params
   * @param {number[]} ids  The ids of the text so far.
   * @param {object} constants  Of the model.
   */
  constructor({ dry_multiplier, dry_base, dry_allowed_length }, ids, constants) {
    this.lookBack = constants.look_back; // characters that count
    this.largestPenalty = constants.largest_penalty;
    this.multiplier = dry_multiplier ?? 0;
    this.base = dry_base;
    this.allowedLength = dry_allowed_length;
    this.ids = new Int32Array(this.lookBack + 1);
    // for each id: how many ids before it equal the end of the text
    this.lengths = new Int32Array(this.lookBack + 1);
    this.size = 0;
    if (this.multiplier) this.#start(Array.from(ids).slice(-this.lookBack));
  }

  #start(text) {
    this.ids.set(text);
    this.size = text.length;
    this.lengths.set(text.map((_, place) => {
      let length = 0;
      while (length < place && text[place - 1 - length] === text.at(-1 - length)) length++;
      return length;
    }));
  }

  /** Add an id to the text. */
  add(id) {
    if (!this.multiplier) return;
    const { ids, lengths } = this;
    for (let place = this.size; place > 0; place--) {
      lengths[place] = ids[place - 1] === id ? lengths[place - 1] + 1 : 0;
    }
    ids[this.size++] = id;
    if (this.size > this.lookBack) {
      ids.copyWithin(0, 1);
      lengths.copyWithin(0, 1);
      this.size--;
    }
  }

  /** Return the logits (V,) less the penalties. They are in double precision if DRY is on. */
  apply(logits) {
    if (!this.multiplier) return logits;
    const scores = Float64Array.from(logits);
    const { largestPenalty } = this;
    for (const [id, length] of this.#findLongestMatches()) {
      let penalty = this.multiplier;
      for (let n = this.allowedLength; n < length && penalty < largestPenalty; n++) {
        penalty *= this.base;
      }
      scores[id] -= Math.min(penalty, largestPenalty);
    }
    return scores;
  }

  /** Return the length of the longest match before each id that would repeat a sequence. */
  #findLongestMatches() {
    const longest = new Map();
    for (let place = this.allowedLength; place < this.size; place++) {
      if (this.lengths[place] < this.allowedLength) continue;
      const length = Math.min(this.lengths[place], place); // the rest is before the look-back
      const id = this.ids[place];
      if (length > (longest.get(id) ?? 0)) longest.set(id, length);
    }
    return longest;
  }
}

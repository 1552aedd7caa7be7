/**
 * DRY penalties, as in charrnn/generation/dry.py: a character that would repeat a sequence of
 * the text becomes less likely.
 */

const LOOK_BACK = 16384; // characters that count; they bound the time for a character
const LARGEST_PENALTY = 1e30; // the sum of all penalties must be finite

export class DryPenalties {
  /**
   * @param {import("./sampler.js").SamplingParams} params
   * @param {number[]} ids  The ids of the text so far.
   */
  constructor({ dry_multiplier, dry_base, dry_allowed_length }, ids) {
    this.multiplier = dry_multiplier ?? 0;
    this.base = dry_base;
    this.allowedLength = dry_allowed_length;
    this.ids = this.multiplier ? Array.from(ids).slice(-LOOK_BACK) : [];
    // for each id: how many characters before it equal the end of the text
    this.lengths = this.ids.map((_, place) => this.#measureMatch(place));
  }

  /** Add an id to the text. */
  add(id) {
    if (!this.multiplier) return;
    const { ids, lengths } = this;
    for (let place = ids.length; place > 0; place--) {
      lengths[place] = ids[place - 1] === id ? lengths[place - 1] + 1 : 0;
    }
    lengths[0] = 0;
    ids.push(id);
    if (ids.length > LOOK_BACK) {
      ids.shift();
      lengths.shift();
    }
  }

  /** Return the logits (V,) less the penalties. They are in double precision if DRY is on. */
  apply(logits) {
    if (!this.multiplier) return logits;
    const scores = Float64Array.from(logits);
    for (const [id, length] of this.#findLongestMatches()) {
      let penalty = this.multiplier;
      for (let n = this.allowedLength; n < length && penalty < LARGEST_PENALTY; n++) {
        penalty *= this.base;
      }
      scores[id] -= Math.min(penalty, LARGEST_PENALTY);
    }
    return scores;
  }

  #measureMatch(place) {
    const { ids } = this;
    let length = 0;
    while (length < place && ids[place - 1 - length] === ids[ids.length - 1 - length]) length++;
    return length;
  }

  /** Return the length of the longest match before each id that would repeat a sequence. */
  #findLongestMatches() {
    const longest = new Map();
    this.lengths.forEach((matched, place) => {
      const length = Math.min(matched, place);
      if (length < this.allowedLength) return;
      const id = this.ids[place];
      longest.set(id, Math.max(longest.get(id) ?? 0, length));
    });
    return longest;
  }
}

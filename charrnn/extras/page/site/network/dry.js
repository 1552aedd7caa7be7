/**
 * DRY penalties, as in charrnn/generation/draw.py: a character that would repeat a sequence of
 * the text becomes less likely.
 */

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
    this.text = ""; // one character for each id
    if (this.multiplier) for (const id of ids) this.add(id);
  }

  /** Add an id to the text. */
  add(id) {
    if (this.multiplier) this.text += String.fromCharCode(id);
  }

  /** Return the logits (V,) less the penalties. They are in double precision if DRY is on. */
  apply(logits) {
    if (!this.multiplier) return logits;
    const scores = Float64Array.from(logits);
    for (const [id, penalty] of this.#computePenalties()) scores[id] -= penalty;
    return scores;
  }

  /** Return the penalty of each id that followed an earlier copy of the end of the text. */
  #computePenalties() {
    const { text, allowedLength } = this;
    const penalties = new Map();
    const ending = text.slice(-allowedLength);
    const last = text.length - 1 - allowedLength; // the last match that a character follows
    for (let place = 0; (place = text.indexOf(ending, place)) >= 0 && place <= last; place++) {
      let penalty = this.multiplier;
      let before = place - 1;
      let beforeEnding = last;
      while (before >= 0 && text[before] === text[beforeEnding] && penalty < LARGEST_PENALTY) {
        penalty *= this.base;
        before--;
        beforeEnding--;
      }
      const id = text.charCodeAt(place + allowedLength);
      penalties.set(id, Math.max(penalties.get(id) ?? 0, Math.min(penalty, LARGEST_PENALTY)));
    }
    return penalties;
  }
}

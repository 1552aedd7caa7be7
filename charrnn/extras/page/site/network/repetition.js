/**
 * DRY, as charrnn/generation/token_sampler.py has it: a sequence that the text has already is gone on with
 * less.
 */

const LARGEST = 1e30; // all penalties together are still a number

export class Repetition {
  /**
   * @param {import("./sampler.js").How} how
   * @param {number[]} start  Ids of the text before.
   */
  constructor({ dry_multiplier, dry_base, dry_allowed_length }, start) {
    this.multiplier = dry_multiplier ?? 0;
    this.base = dry_base;
    this.allowed = dry_allowed_length;
    this.text = ""; // the characters of these ids
    if (this.multiplier) for (const id of start) this.add(id);
  }

  add(id) {
    if (this.multiplier) this.text += String.fromCharCode(id);
  }

  /** The logits (V,) without the penalties; in double precision where there may be any. */
  penalized(logits) {
    if (!this.multiplier) return logits;
    const scores = Float64Array.from(logits);
    for (const [id, penalty] of this.#penalties()) scores[id] -= penalty;
    return scores;
  }

  /** By the id that went on with what the text ends in, what its logit loses. */
  #penalties() {
    const { text, allowed } = this;
    const penalties = new Map();
    const end = text.slice(-allowed);
    const last = text.length - 1 - allowed; // where something still follows
    for (let place = 0; (place = text.indexOf(end, place)) >= 0 && place <= last; place++) {
      let penalty = this.multiplier;
      let before = place - 1;
      let own = last;
      while (before >= 0 && text[before] === text[own] && penalty < LARGEST) {
        penalty *= this.base;
        before--;
        own--;
      }
      const follows = text.charCodeAt(place + allowed);
      penalties.set(follows, Math.max(penalties.get(follows) ?? 0, Math.min(penalty, LARGEST)));
    }
    return penalties;
  }
}

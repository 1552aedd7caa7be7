/** The lengths of the runs of one character in a text, as charrnn/counts/run_lengths.py has them. */

import { findSorted } from "./sorted.js";

export class RunLengths {
  /**
   * @param {object} packed  The packed counts (`Counts`).
   * @param {object} arrays  The characters, in ascending order, and the number of runs of each
   *   character and length.
   */
  constructor({ least_run, continues, odds_beyond, margin, max_run },
    { run_characters: characters, run_counts: counts }) {
    this.least = least_run;
    this.margin = margin;
    this.characters = characters;
    this.width = max_run + 1; // of the rows of the two arrays
    this.odds = new Float32Array(counts.length); // that a run of some length continues
    this.mayEnd = new Uint8Array(counts.length); // whether no run is longer
    for (let entry = counts.length - 1, longer = 0; entry >= 0; entry--) {
      if (entry % this.width === max_run) longer = 0;
      const isBeyond = longer === 0 && counts[entry] === 0;
      const odds = (longer + continues) / (counts[entry] + 1 - continues);
      this.odds[entry] = isBeyond ? odds_beyond : odds;
      this.mayEnd[entry] = longer === 0;
      longer += counts[entry];
    }
  }

  /**
   * Return the odds that a character's run of some length continues, and whether no known run is
   * longer; the odds are 0 outside of runs.
   */
  findOdds(id, length) {
    const row = findSorted(this.characters, 0, this.characters.length, id);
    if (length < this.least || this.characters[row] !== id) return { odds: 0 };
    const entry = row * this.width + length;
    return { odds: this.odds[entry], mayEnd: this.mayEnd[entry] };
  }

  /** Set the logit of a character so that its run continues with these odds. */
  apply(logits, id, { odds, mayEnd }) {
    logits[id] = -Infinity;
    const highest = logits.reduce((a, b) => Math.max(a, b));
    let sum = 0;
    for (const logit of logits) sum += Math.exp(logit - highest);
    const logit = Math.log(sum) + highest + Math.log(odds);
    logits[id] = mayEnd ? Math.min(logit, highest - this.margin) : logit;
  }
}

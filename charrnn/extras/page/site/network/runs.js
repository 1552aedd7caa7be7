/** The lengths of the runs of one character in a text, as charrnn/counts/run_lengths.py has them. */

import { findSorted } from "./sorted.js";

export class RunLengths {
  /**
   * @param {object} packed  The packed counts (`Counts`).
   * @param {object} arrays  The characters, in ascending order, the lengths of their runs, and the
   *   number of runs of each length.
   */
  constructor({ least_run, continues, odds_beyond, margin },
    { run_characters: characters, run_lengths: lengths, run_counts: counts }) {
    this.least = least_run;
    this.oddsBeyond = odds_beyond;
    this.margin = margin;
    this.characters = characters;
    this.lengths = lengths;
    this.odds = new Float32Array(counts.length); // that a run of an entry's length continues
    this.below = new Float32Array(counts.length); // or a run of an unknown length just below it
    for (let entry = counts.length - 1, longer = 0; entry >= 0; entry--) {
      if (characters[entry] !== characters[entry + 1]) longer = 0;
      this.odds[entry] = (longer + continues) / (counts[entry] + 1 - continues);
      longer += counts[entry];
      this.below[entry] = (longer + continues) / (1 - continues);
    }
  }

  /**
   * Return the odds that a character's run of some length continues, and whether no known run is
   * longer; the odds are 0 outside of runs.
   */
  findOdds(id, length) {
    if (length < this.least) return { odds: 0 };
    const { characters, lengths } = this;
    const first = findSorted(characters, 0, characters.length, id);
    const end = findSorted(characters, first, characters.length, id + 1);
    if (first === end) return { odds: 0 };
    const entry = findSorted(lengths, first, end, length);
    if (entry === end) return { odds: this.oddsBeyond, mayEnd: true };
    if (lengths[entry] !== length) return { odds: this.below[entry], mayEnd: false };
    return { odds: this.odds[entry], mayEnd: entry === end - 1 };
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

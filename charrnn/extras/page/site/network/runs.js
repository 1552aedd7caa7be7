/** The lengths of the runs of one character in a text, as charrnn/counts/run_lengths.py has them. */

import { findSorted } from "./sorted.js";

export class RunLengths {
  /**
   * @param {object} packed  The packed counts (`Counts`).
   * @param {object} arrays  The characters, in ascending order, the lengths of their runs, and the
   *   number of runs of each length.
   */
  constructor({ least_run, max_odds: maxOdds },
    { run_characters: characters, run_lengths: lengths, run_counts: counts }) {
    this.least = least_run;
    this.maxOdds = maxOdds;
    this.characters = characters;
    this.lengths = lengths;
    this.odds = new Float32Array(counts.length); // that a run of an entry's length continues
    for (let entry = counts.length - 1, longer = 0; entry >= 0; entry--) {
      if (characters[entry] !== characters[entry + 1]) longer = 0;
      const odds = Math.fround(longer) / Math.fround(counts[entry]);
      this.odds[entry] = Math.min(Math.max(odds, 1 / maxOdds), maxOdds);
      longer += counts[entry];
    }
  }

  /** Return the odds that a character's run of some length continues; 0 outside of runs. */
  findOdds(id, length) {
    if (length < this.least) return 0;
    const { characters, lengths } = this;
    const first = findSorted(characters, 0, characters.length, id);
    const end = findSorted(characters, first, characters.length, id + 1);
    if (first === end) return 0;
    const entry = findSorted(lengths, first, end, length);
    if (entry === end) return 1 / this.maxOdds;
    return lengths[entry] === length ? this.odds[entry] : this.maxOdds;
  }

  /** Set the logit of a character so that its run continues with these odds. */
  apply(logits, id, odds) {
    logits[id] = -Infinity;
    const highest = logits.reduce((a, b) => Math.max(a, b));
    let sum = 0;
    for (const logit of logits) sum += Math.exp(logit - highest);
    logits[id] = Math.log(sum) + highest + Math.log(odds);
  }
}

/** Debts of line ends and sentence ends, as in charrnn/generation/debts.py. */

export class Debts {
  /**
   * @param {import("./vocabulary.js").Vocabulary} vocabulary
   * @param {object} constants  Of the model; `ends` has the characters that have debts.
   * @param {Record<string, number>} shares  Of marks in the training text, where they are known.
   */
  constructor(vocabulary, { ends, lowest, highest }, shares) {
    Object.assign(this, { ends: findEnds(vocabulary, ends), lowest, highest });
    this.shares = this.ends.ids.map((id) => shares[vocabulary.characters[id]]);
    this.values = new Float64Array(this.ends.ids.length);
    this.pays = this.ends.pays.at(-1); // at first, there are no debts
  }

  /** Return the logits (V,) less the highest, with multiples of the debts; add what is due to the debts. */
  repay(logits, highest, payback) {
    const scores = new Float64Array(logits.length);
    let sum = 0;
    for (let id = 0; id < scores.length; id++) {
      scores[id] = logits[id] - highest;
      sum += Math.exp(scores[id]);
    }
    this.ends.ids.forEach((id, place) => {
      const debt = this.values[place];
      const due = this.shares[place] ?? Math.exp(scores[id]) / sum;
      this.values[place] = Math.min(debt + due, this.highest);
      if (debt < 0 || this.pays[place]) scores[id] += payback * debt;
    });
    return scores;
  }

  /** Subtract a drawn id from the debts. */
  pay(id) {
    const place = this.ends.ids.indexOf(id);
    this.pays = this.ends.pays.at(place); // the last row is that of all other characters
    if (place >= 0) this.values[place] = Math.max(this.values[place] - 1, this.lowest);
  }
}

/** Return the ids of ends, and whether a positive debt of each is paid after each, or after others. */
function findEnds(vocabulary, characters) {
  const ends = [...characters].filter((end) => vocabulary.ids.has(end));
  // of two ends in a row, the second is a newline
  const pays = ends.map((last) => ends.map((end) => end === "\n" && last !== "\n"));
  return { ids: ends.map((end) => vocabulary.ids.get(end)), pays: [...pays, ends.map(() => true)] };
}

/** Debts of line ends and sentence ends, as in charrnn/generation/debts.py. */

export class Debts {
  /** @param {object} constants  Of the model; `ends` are as `Ends` in Python. */
  constructor({ ends, lowest_debt: lowest, highest_debt: highest }) {
    Object.assign(this, { ends, lowest, highest });
    this.values = new Float64Array(ends.ids.length);
    this.pays = ends.pays.at(-1); // at first, there are no debts
  }

  /** Return the logits (V,) less the highest, with multiples of the debts; let the debts grow. */
  repay(logits, highest, payback) {
    const scores = new Float64Array(logits.length);
    let sum = 0;
    for (let id = 0; id < scores.length; id++) {
      scores[id] = logits[id] - highest;
      sum += Math.exp(scores[id]);
    }
    this.ends.ids.forEach((id, place) => {
      const debt = this.values[place];
      this.values[place] = Math.min(debt + Math.exp(scores[id]) / sum, this.highest);
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

/** What the model writes from a place on: as it was trained, and with units held. */

import { Chooser } from "../../page/site/network/choosing.js";
import { Uniforms } from "../../page/site/network/random.js";

const STEPS_A_LOOK = 8; // after which it looks at the clock

export class Writing {
  /** @param {import("../../page/site/network/sampler.js").Sampler} sampler */
  constructor({ vocabulary, network, model }) {
    this.sampling = model.facts.sampling;
    this.vocabulary = vocabulary;
    this.network = network;
    this.texts = [];
  }

  /**
   * Begin anew. Both texts use the same random numbers, so what differs is the units' doing.
   *
   * @param {{last: number, state: Float32Array, hold: () => void}[]} beginnings  What each goes
   *   on from, the last character not taken in yet, and what lets the network hold its units.
   * @param {{temperature: number, seed: number, length: number}} how
   */
  begin(beginnings, { temperature, seed, length }) {
    this.texts = beginnings.map(({ last, state, hold }) => ({
      last,
      hold,
      length,
      state: state.slice(),
      chooser: new Chooser(this.vocabulary.size, { ...this.sampling, temperature }),
      uniforms: new Uniforms(seed),
      ids: [],
    }));
  }

  get done() {
    return this.texts.every(({ ids, length }) => ids.length >= length);
  }

  /** Write on until it is done, or until the clock says a time, all texts at the same pace. */
  work(until = Infinity) {
    while (!this.done && performance.now() < until) {
      for (const text of this.texts) {
        text.hold();
        for (let step = 0; step < STEPS_A_LOOK && text.ids.length < text.length; step++) {
          const logits = this.network.step(text.last, text.state);
          text.last = text.chooser.choose(logits, text.uniforms.next());
          text.ids.push(text.last);
        }
      }
    }
  }

  /** The texts so far. */
  get written() {
    return this.texts.map(({ ids }) => this.vocabulary.decode(ids));
  }
}

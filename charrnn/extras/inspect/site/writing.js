/** Write on from a place, with the network as it is and with some units held. */

import { Uniforms } from "../../page/site/network/random.js";
import { TokenSampler } from "../../page/site/network/token-sampler.js";

const STEPS_A_LOOK = 8; // between two looks at the clock

export class Writing {
  /** @param {import("../../page/site/network/sampler.js").Sampler} sampler */
  constructor({ vocabulary, network, model }) {
    this.sampling = model.facts.sampling;
    this.vocabulary = vocabulary;
    this.network = network;
    this.texts = [];
  }

  /**
   * Start new texts. They use the same random numbers, so only the held units make a difference.
   *
   * @param {{last: number, state: Float32Array, hold: () => void}[]} starts  The start state of
   *   each text (see StartState), and a function that lets the network hold its units.
   * @param {{temperature: number, seed: number, length: number}} how
   */
  begin(starts, { temperature, seed, length }) {
    this.texts = starts.map(({ last, state, hold }) => ({
      last,
      hold,
      length,
      state: state.slice(),
      tokenSampler: new TokenSampler(this.vocabulary.size, { ...this.sampling, temperature }),
      uniforms: new Uniforms(seed),
      ids: [],
    }));
  }

  get done() {
    return this.texts.every(({ ids, length }) => ids.length >= length);
  }

  /** Write all texts at the same pace until they are complete, or until a time. */
  work(until = Infinity) {
    while (!this.done && performance.now() < until) {
      for (const text of this.texts) {
        text.hold();
        for (let step = 0; step < STEPS_A_LOOK && text.ids.length < text.length; step++) {
          const logits = this.network.step(text.last, text.state);
          text.last = text.tokenSampler.draw(logits, text.uniforms.next());
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

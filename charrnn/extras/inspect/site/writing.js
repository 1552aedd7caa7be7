/** Write several texts with the same random numbers, without and with held units. */

import { Uniforms } from "../../page/site/network/random.js";
import { makeDraw } from "../../page/site/network/draw.js";

const STEPS_PER_CHECK = 8; // steps between two checks of the time

export class Writing {
  /** @param {import("../../page/site/network/sampler.js").Sampler} sampler */
  constructor({ vocabulary, network, model }) {
    this.sampling = model.facts.sampling;
    this.constants = model.constants;
    this.vocabulary = vocabulary;
    this.network = network;
    this.samples = [];
  }

  /**
   * Start new texts. They use the same random numbers, so only the held units make a difference.
   *
   * @param {{last: number, state: Float32Array, setUnits: () => void}[]} starts  The StartState of
   *   each text, and a function that holds or releases the network's units for it.
   * @param {{temperature: number, seed: number, length: number}} options
   * @param {ArrayLike<number>} ids  The ids before the new texts.
   */
  start(starts, { temperature, seed, length }, ids) {
    this.samples = starts.map(({ last, state, setUnits }) => ({
      last,
      setUnits,
      length,
      state: state.slice(),
      draw: makeDraw(this.vocabulary, { ...this.sampling, temperature }, ids, this.constants),
      uniforms: new Uniforms(seed),
      ids: [],
    }));
  }

  get isDone() {
    return this.samples.every(({ ids, length }) => ids.length >= length);
  }

  /** Write all texts in turns until they are complete, or until a time. */
  work(until = Infinity) {
    while (!this.isDone && performance.now() < until) {
      for (const sample of this.samples) {
        sample.setUnits();
        for (let step = 0; step < STEPS_PER_CHECK && sample.ids.length < sample.length; step++) {
          const logits = this.network.step(sample.last, sample.state);
          sample.last = sample.draw(logits, sample.uniforms.next());
          sample.ids.push(sample.last);
        }
      }
    }
  }

  /** The texts so far. */
  get texts() {
    return this.samples.map(({ ids }) => this.vocabulary.decode(ids));
  }
}

/** Counts that write without a network: its logits have no weight. */
export class NoNetwork {
  constructor(size) {
    this.logits = new Float32Array(size);
  }

  zeroState() {
    return new Float32Array(0);
  }

  step() {
    return this.logits;
  }

  advance() {}
}

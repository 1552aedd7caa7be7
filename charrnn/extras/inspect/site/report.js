/** What charrnn/extras/inspect/passage_report.py wrote, its arrays unpacked. */

export function readReport(json) {
  const report = JSON.parse(json);
  const features = report.features.map((feature, index) => ({
    ...feature,
    index,
    track: bytesOf(feature.track),
  }));
  const correlations = new Int16Array(bytesOf(report.correlations).buffer);
  const counts = report.counts && { ...report.counts, track: bytesOf(report.counts.track) };
  return { ...report, features, correlations, counts, units: new Units(report, features, correlations) };
}

/** The units of a model, by the numbers that they have in its state. */
export class Units {
  constructor({ parts, hidden_size: H }, features, correlations) {
    this.parts = parts;
    this.hiddenSize = H;
    this.features = features;
    this.r = (unit, feature) => correlations[unit * features.length + feature] / 32767;
  }

  get count() {
    return this.parts.length * this.hiddenSize;
  }

  part(unit) {
    return this.parts[Math.floor(unit / this.hiddenSize)];
  }

  /** What a unit is called: layer and number count from 1. */
  name(unit) {
    const { layer } = this.part(unit);
    return `layer ${layer + 1}, unit ${(unit % this.hiddenSize) + 1}${this.#suffix(unit, ", ")}`;
  }

  shortName(unit) {
    const { layer } = this.part(unit);
    return `${layer + 1}·${(unit % this.hiddenSize) + 1}${this.#suffix(unit, " ")}`;
  }

  /** The units that follow a feature most closely, the closest first. */
  ranked(feature, count) {
    return firstBy(this.count, count, (unit) => Math.abs(this.r(unit, feature)));
  }

  /** The features that a unit follows most closely, the closest first. */
  followed(unit, count) {
    return firstBy(this.features.length, count, (feature) => Math.abs(this.r(unit, feature)))
      .map((feature) => this.features[feature]);
  }

  /** The units of the same vector as a unit; with a feature, in the order of their correlation. */
  alongside(unit, feature) {
    const first = unit - (unit % this.hiddenSize);
    const all = Array.from({ length: this.hiddenSize }, (_, index) => first + index);
    if (!feature) return all;
    return all.sort((a, b) => this.r(b, feature.index) - this.r(a, feature.index) || a - b);
  }

  #suffix(unit, between) {
    const { letter } = this.part(unit);
    const alone = this.parts.every((part) => part.letter === letter);
    return alone ? "" : between + PARTS[letter];
  }
}

/** What the vectors of a state are called. */
export const PARTS = { h: "output", c: "memory" };

function firstBy(all, count, value) {
  return Array.from({ length: all }, (_, index) => index)
    .sort((a, b) => value(b) - value(a) || a - b)
    .slice(0, count);
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** Read the report that charrnn/extras/inspect/passage_report.py wrote, and decode its arrays. */

export function readReport(json) {
  const report = JSON.parse(json);
  const features = report.features.map((feature, index) => ({
    ...feature,
    index,
    track: decodeBytes(feature.track),
  }));
  const correlations = new Int16Array(decodeBytes(report.correlations).buffer);
  const counts = report.counts && { ...report.counts, track: decodeBytes(report.counts.track) };
  return { ...report, features, counts, units: new Units(report, features, correlations) };
}

/** The units of a model, by their numbers in its state. */
export class Units {
  constructor({ parts, hidden_size: H }, features, correlations) {
    this.parts = parts;
    this.hiddenSize = H;
    this.features = features;
    this.correlations = correlations;
  }

  /** Return the correlation r of a unit with a feature. */
  correlate(unit, { index }) {
    return this.correlations[unit * this.features.length + index] / 32767;
  }

  getPart(unit) {
    return this.parts[Math.floor(unit / this.hiddenSize)];
  }

  /** Return the name of a unit; layers and units are numbered from 1. */
  getName(unit) {
    const { layer } = this.getPart(unit);
    const number = (unit % this.hiddenSize) + 1;
    return `layer ${layer + 1}, unit ${number}${this.#nameVector(unit, ", ")}`;
  }

  getShortName(unit) {
    const { layer } = this.getPart(unit);
    return `${layer + 1}·${(unit % this.hiddenSize) + 1}${this.#nameVector(unit, " ")}`;
  }

  /** Return the units with the strongest correlations with a feature, the strongest first. */
  rankUnits(feature, count) {
    const all = this.parts.length * this.hiddenSize;
    return selectTop(all, count, (unit) => Math.abs(this.correlate(unit, feature)));
  }

  /** Return the features with the strongest correlations with a unit, the strongest first. */
  rankFeatures(unit, count) {
    const { features } = this;
    return selectTop(features.length, count, (i) => Math.abs(this.correlate(unit, features[i])))
      .map((index) => features[index]);
  }

  /** Return the units of a unit's vector; with a feature, sorted by their correlation with it. */
  listVector(unit, feature) {
    const first = unit - (unit % this.hiddenSize);
    const units = Array.from({ length: this.hiddenSize }, (_, index) => first + index);
    if (!feature) return units;
    return units.sort((a, b) => this.correlate(b, feature) - this.correlate(a, feature) || a - b);
  }

  #nameVector(unit, separator) {
    const { letter } = this.getPart(unit);
    const isOnlyKind = this.parts.every((part) => part.letter === letter);
    return isOnlyKind ? "" : separator + VECTORS[letter];
  }
}

/** The names of the vectors of a state. */
export const VECTORS = { h: "output", c: "memory" };

/** Return the `count` numbers below `length` with the highest scores, the highest first. */
function selectTop(length, count, score) {
  return Array.from({ length }, (_, index) => index)
    .sort((a, b) => score(b) - score(a) || a - b)
    .slice(0, count);
}

function decodeBytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** The page: connects the passage, the unit, the map and the written texts with the network. */

import { findChange, spliceArray } from "../../page/site/draft.js";
import { toLevel } from "../../page/site/tint.js";
import { CursorCard } from "./cursor.js";
import { UnitMap } from "./map.js";
import { drawDistance } from "./measurements.js";
import { toPlaces, toVisible } from "./places.js";
import { Reading } from "./reading.js";
import { bisect, Sheet } from "./sheet.js";
import { listFeatures, listHeld, UnitCard } from "./units.js";
import { WritingCard } from "./writing-card.js";

const SLICE = 8; // milliseconds of work before the browser handles events
const UNIT_LEVELS = 5; // tints of each sign
const THRESHOLDS = [0.5, 1, 2, 4, 7]; // the smallest changes, in bits, of levels 1 to 5
const UNKNOWN = 255; // the track of a feature or of the counts at a place that was typed
const COUNTS_ZERO = 127; // the track where the counts gain nothing
const FIRST_PLACE = 300; // the place that the page shows first

const find = (selector) => document.querySelector(selector);

/** Functions that return the class of a place's tint. */
const TINTS = {
  surprise(reading, place) {
    const level = toLevel(reading.bits[place]);
    return level ? `level-${level}` : "";
  },
  unit(reading, place, unit) {
    const value = reading.getActivation(place, unit);
    return toSignedClass(value, Math.min(UNIT_LEVELS, Math.round(Math.abs(value) * UNIT_LEVELS)));
  },
  change(reading, place) {
    return toChangeClass(reading.getChange(place));
  },
  counts(reading, place, unit, gain) {
    return toChangeClass(-gain);
  },
};
const toChangeClass = (bits) =>
  toSignedClass(bits, THRESHOLDS.filter((threshold) => Math.abs(bits) >= threshold).length);
const toSignedClass = (value, level) => (level ? `${value < 0 ? "n" : "p"}${level}` : "");

export class InspectPage {
  /**
   * @param {import("../../page/site/network/sampler.js").Sampler} sampler
   * @param {object} report  The result of `readReport`.
   */
  constructor(sampler, report) {
    const { units } = report;
    this.vocabulary = sampler.vocabulary;
    this.units = units;
    this.reading = new Reading(sampler.network, report.parts);
    this.tracks = report.features.map(() => new Uint8Array(0)); // each feature by place
    this.counts = report.counts && { ...report.counts, track: new Uint8Array(0) };
    this.lengths = []; // the number of code units of each place
    this.starts = new Uint32Array(1); // the offset of each place in the text, and the text's length
    this.tint = "surprise"; // a key of TINTS
    this.isBusy = false;

    this.sheet = new Sheet(find("#sheet"));
    this.map = new UnitMap(find("#map canvas"), find("#map output"));
    this.cursor = new CursorCard(find("#cursor"), sampler.vocabulary);
    this.writing = new WritingCard(find("#writing"), sampler);
    this.card = new UnitCard(find("#unit"), units, {
      onPick: (unit) => this.pick(unit),
      onHold: (unit, value) => this.hold(unit, value),
    });
    listFeatures(find("#features"), report.features, units, (unit, feature) =>
      this.pick(unit, feature));
    find("#absent").textContent = report.absent.length
      ? `Missing or too rare in this passage: ${report.absent.join(", ")}.` : "";
    const feature = report.features.length ? findBest(report.features, units) : null;
    this.#choose(feature ? units.rankUnits(feature, 1)[0] : 0, feature);
    this.edit(toVisible(report.passage.text));
    this.tracks = report.features.map(({ track }) => track);
    this.counts = report.counts;
    const start = this.starts[Math.min(FIRST_PLACE, this.reading.length)];
    this.sheet.textarea.setSelectionRange(start, start);
    this.#showPlace(this.#findPlace(start));
    this.refresh();
    this.#drawReport(report);
    this.#listen();
    this.ready = true;
  }

  /** Show and read a text. Only the part that changed is read again. */
  edit(text) {
    const before = this.text ?? "";
    const [start, end, inserted] = findChange(before, text, this.sheet.textarea.selectionEnd);
    this.text = text;
    this.sheet.update(text);
    // start at a whole character, because two characters may share a code unit or a byte
    let first = this.#findPlaceFrom(start);
    if (this.starts[first] > start) first = this.#findPlaceFrom(this.starts[first - 1]);
    const last = this.#findPlaceFrom(end);
    const head = before.slice(this.starts[first], start);
    const tail = before.slice(end, this.starts[last]);
    const { ids, lengths } = toPlaces(head + inserted + tail, this.vocabulary);
    this.reading.replace(first, last, ids);
    this.lengths.splice(first, last - first, ...lengths);
    this.starts = sumLengths(this.lengths);
    const gap = new Uint8Array(ids.length).fill(UNKNOWN);
    this.tracks = this.tracks.map((track) => spliceArray(track, first, last, gap));
    if (this.counts) {
      this.counts = { ...this.counts, track: spliceArray(this.counts.track, first, last, gap) };
    }
    this.refresh();
  }

  /** Show a unit, and tint the passage by its values. */
  pick(unit, feature = null) {
    this.#choose(unit, feature);
    this.#setTint("unit");
    this.refresh();
  }

  #choose(unit, feature) {
    this.card.show(unit, feature, this.reading.held.get(unit));
    this.rows = this.units.listVector(unit, this.card.feature);
    find("#tint-unit-name").textContent = this.units.getName(unit);
    find("#map-order").textContent = this.card.feature
      ? `; rows are sorted by their correlation with “${this.card.feature.name}”` : "";
  }

  /** Hold a unit at a value, or release it (null). */
  hold(unit, value) {
    this.reading.hold(unit, value);
    const hasHeld = this.reading.held.size > 0;
    find("#tint-change").disabled = !hasHeld;
    this.#setTint(hasHeld ? "change" : "unit");
    listHeld(find("#held"), this.reading.held, this.units, (other) => this.hold(other, null));
    this.card.showHeld(this.reading.held.get(this.card.unit));
    this.refresh();
  }

  /** Show the current values of the visible passage, and compute the others in the background. */
  refresh() {
    const [from, to] = this.#findVisiblePlaces();
    this.reading.show(from, Math.min(to + 1, this.reading.length));
    this.#paint(from, to);
    this.writing.update(this.reading, this.#findPlaceFrom(this.sheet.textarea.selectionStart));
    this.#scheduleWork();
  }

  #findVisiblePlaces() {
    return this.sheet.visibleRange.map((offset) => this.#findPlace(offset));
  }

  #paint(from, to) {
    const { reading, card, sheet } = this;
    sheet.paint((offset) => this.#chooseClass(this.#findPlace(offset)));
    this.map.draw(reading, this.rows, from, to, card.unit);
    card.draw(reading, from, to, card.feature && this.tracks[card.feature.index]);
    this.#showPlace(this.place);
  }

  #chooseClass(place) {
    if (place >= this.reading.length) return "";
    return this.reading.ids[place] < 0 ? "unknown" : TINTS[this.tint](this.reading, place,
      this.card.unit, this.#computeGain(place));
  }

  /** Return the surprise, in bits, that the counts remove at a place; NaN if unknown. */
  #computeGain(place) {
    const steps = this.counts?.track[place] ?? UNKNOWN;
    return steps === UNKNOWN ? NaN : (steps - COUNTS_ZERO) / this.counts.steps;
  }

  /** Read and write in the background, one slice at a time, until both are done. */
  #scheduleWork() {
    if (this.isBusy) return;
    this.isBusy = true;
    setTimeout(() => {
      const until = performance.now() + SLICE;
      const wasDone = this.reading.isDone;
      if (!wasDone) this.reading.work(until);
      else this.writing.work(until);
      this.isBusy = false;
      if (!wasDone && this.reading.isDone) this.#paint(...this.#findVisiblePlaces());
      this.#showLoss();
      if (!this.reading.isDone || !this.writing.isDone) this.#scheduleWork();
    });
  }

  #showLoss() {
    const { reading } = this;
    let sum = 0;
    let count = 0;
    for (const bits of reading.bits) if (bits >= 0) [sum, count] = [sum + bits, count + 1];
    const mean = count ? (sum * Math.LN2) / count : 0;
    const read = Math.floor((100 * reading.reached) / reading.length);
    const share = reading.isDone ? "" : `, ${read}% read`;
    find("#passage-loss").textContent = `${reading.length.toLocaleString("en")} characters, `
      + `loss ${mean.toFixed(3)} nats per character, as uncertain as a choice among `
      + `${Math.exp(mean).toFixed(1)}${share}`;
  }

  #setTint(name) {
    this.tint = name;
    find(`#tint-${name}`).checked = true;
    document.documentElement.dataset.tint = name;
  }

  /** Show the predictions at a place, and frame it. */
  #showPlace(place) {
    this.place = Math.max(0, Math.min(place ?? 0, this.reading.length - 1));
    if (!this.reading.length) return;
    const unit = this.card.unit;
    this.cursor.show(this.reading, this.place, {
      before: this.text.slice(0, this.starts[this.place]).slice(-40),
      unit: `${this.units.getShortName(unit)}: `
        + formatSigned(this.reading.getActivation(this.place, unit)),
      gain: this.#computeGain(this.place),
    });
    this.sheet.frame(this.starts[this.place]);
  }

  #listen() {
    const { textarea, element } = this.sheet;
    textarea.addEventListener("input", () => this.edit(textarea.value));
    element.addEventListener("scroll", () => requestAnimationFrame(() => this.refresh()));
    new ResizeObserver(() => this.refresh()).observe(element);
    element.addEventListener("pointermove", ({ clientX, clientY }) => {
      const offset = this.sheet.findOffset(clientX, clientY);
      if (offset !== null) this.#showPlace(this.#findPlace(offset));
    });
    document.addEventListener("selectionchange", () => {
      if (document.activeElement !== textarea) return;
      this.#showPlace(this.#findPlace(textarea.selectionStart));
      this.writing.update(this.reading, this.#findPlaceFrom(textarea.selectionStart));
      this.#scheduleWork();
    });
    for (const name of Object.keys(TINTS)) {
      find(`#tint-${name}`).addEventListener("change", () => {
        this.#setTint(name);
        this.refresh();
      });
    }
    this.writing.onRequest = () => this.#scheduleWork();
    const { canvas } = this.map;
    canvas.addEventListener("pointermove", (event) => {
      const { unit, place } = this.map.locate(event);
      this.map.caption.textContent = this.units.getName(unit);
      this.#showPlace(place);
    });
    canvas.addEventListener("click", (event) =>
      this.pick(this.map.locate(event).unit, this.card.feature));
  }

  #drawReport(report) {
    if (report.counts) describeCounts(report.counts);
    drawDistance(find("#distance"), report.distance);
    find("#card").replaceChildren(...report.card.flatMap(([name, value]) => {
      const [term, description] = ["dt", "dd"].map((tag) => document.createElement(tag));
      [term.textContent, description.textContent] = [name, value];
      return [term, description];
    }));
  }

  /** Return the first place that starts at an offset or after it. */
  #findPlaceFrom(offset) {
    return bisect(this.starts.length - 1, (place) => this.starts[place] >= offset);
  }

  /** Return the place at an offset: of several bytes the last; after the text, the length. */
  #findPlace(offset) {
    return bisect(this.starts.length - 1, (place) => this.starts[place + 1] > offset);
  }
}

/** Show the losses of the original passage with and without counts, and the weights. */
function describeCounts({ weights, network: without, alone: countsOnly, both }) {
  for (const part of ["#by-counts", "#counts-loss", "#counts-weights"]) find(part).hidden = false;
  const [network, counts, words] = weights;
  const describePlace = (unknown, known) => `${network[unknown]} and ${counts[unknown]} in contexts `
    + `that the training text lacks, ${network[known]} and ${counts[known]} in the longest known`;
  const insideWords = words.some((weight) => weight > 0)
    ? ` contexts between words; inside words ${describePlace(2, 3)} contexts, and ${words[0]} for `
      + `the word table (${words[1]} if it knows one continuation).`
    : " contexts.";
  find("#counts-loss").textContent = "This page shows the network; the model also uses counts. "
    + `Loss of the original passage: ${both.toFixed(3)} with counts, ${without.toFixed(3)} without `
    + `them, ${countsOnly.toFixed(3)} with counts only.`;
  find("#counts-weights p").textContent = "Weights of the log-probabilities (network and counts): "
    + `${describePlace(0, 1)}${insideWords}`;
}

/** Return the feature with the strongest correlation with a unit. */
function findBest(features, units) {
  const rate = (feature) => Math.abs(units.correlate(units.rankUnits(feature, 1)[0], feature));
  return features.reduce((best, feature) => (rate(feature) > rate(best) ? feature : best));
}

/** Return the running sums of lengths, from 0. */
function sumLengths(lengths) {
  const starts = new Uint32Array(lengths.length + 1);
  for (let place = 0; place < lengths.length; place++) {
    starts[place + 1] = starts[place] + lengths[place];
  }
  return starts;
}

const formatSigned = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

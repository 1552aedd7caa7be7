/** The parts of the page, and what happens when one edits, looks and holds. */

import { difference, spliced } from "../../page/site/draft.js";
import { levelOf } from "../../page/site/tint.js";
import { CursorCard } from "./cursor.js";
import { UnitMap } from "./map.js";
import { drawDistance, drawGates } from "./measurements.js";
import { placesOf, shown } from "./places.js";
import { Reading } from "./reading.js";
import { firstFrom, Sheet } from "./sheet.js";
import { listFeatures, listHeld, UnitCard } from "./units.js";
import { WritingCard } from "./writing-card.js";

const SLICE = 8; // milliseconds of work between two looks at what the reader does
const LEVELS = 5; // of a unit's tint
const CHANGES = [0.5, 1, 2, 4, 7]; // bits from which on a change is of the first, second, ... level
const NOT_KNOWN = 255; // a feature, or what counts gain, at a place that was typed
const COUNTS_ZERO = 127; // what counts gain nothing at
const FIRST_LOOK = 300; // the place that is told of at first

const find = (selector) => document.querySelector(selector);

/** The class of the tint of a place, by what it shows. */
const TINTS = {
  surprise(reading, place) {
    const level = levelOf(reading.bits[place]);
    return level ? `level-${level}` : "";
  },
  unit(reading, place, unit) {
    const value = reading.activation(place, unit);
    return signedClass(value, Math.min(LEVELS, Math.round(Math.abs(value) * LEVELS)));
  },
  change(reading, place) {
    return changeClass(reading.change(place));
  },
  counts(reading, place, unit, gain) {
    return changeClass(-gain);
  },
};
const changeClass = (bits) =>
  signedClass(bits, CHANGES.filter((least) => Math.abs(bits) >= least).length);
const signedClass = (value, level) => (level ? `${value < 0 ? "n" : "p"}${level}` : "");

export class InspectPage {
  /**
   * @param {import("../../page/site/network/sampler.js").Sampler} sampler
   * @param {object} report  As `readReport` gives it.
   */
  constructor(sampler, report) {
    const { units } = report;
    this.vocabulary = sampler.vocabulary;
    this.units = units;
    this.reading = new Reading(sampler.network, report.parts);
    this.tracks = report.features.map(() => new Uint8Array(0)); // of each feature, by place
    this.counts = report.counts && { ...report.counts, track: new Uint8Array(0) };
    this.lengths = []; // units of the text that each place has
    this.starts = new Uint32Array(1); // where each place's text begins, and the end of all
    this.tints = "surprise"; // one of TINTS
    this.busy = false;

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
      ? `Not in this passage, or too rarely: ${report.absent.join(", ")}.` : "";
    const feature = report.features.length ? bestOf(report.features, units) : null;
    this.#choose(feature ? units.ranked(feature.index, 1)[0] : 0, feature);
    this.edit(shown(report.passage.text));
    this.tracks = report.features.map(({ track }) => track);
    this.counts = report.counts;
    const start = this.starts[Math.min(FIRST_LOOK, this.reading.length)];
    this.sheet.textarea.setSelectionRange(start, start);
    this.#point(this.#placeAt(start));
    this.refresh();
    this.#drawReport(report);
    this.#listen();
    this.ready = true;
  }

  /** Show another text, or follow what was typed. */
  edit(text) {
    const before = this.read ?? "";
    const [start, end, inserted] = difference(before, text, this.sheet.textarea.selectionEnd);
    this.read = text;
    this.sheet.update(text);
    // whole characters, where one is replaced by another that has a part in common with it
    let first = this.#from(start);
    if (this.starts[first] > start) first = this.#from(this.starts[first - 1]);
    const last = this.#from(end);
    const head = before.slice(this.starts[first], start);
    const tail = before.slice(end, this.starts[last]);
    const { ids, lengths } = placesOf(head + inserted + tail, this.vocabulary);
    this.reading.replace(first, last, ids);
    this.lengths.splice(first, last - first, ...lengths);
    this.starts = sums(this.lengths);
    const gap = new Uint8Array(ids.length).fill(NOT_KNOWN);
    this.tracks = this.tracks.map((track) => spliced(track, first, last, gap));
    if (this.counts) {
      this.counts = { ...this.counts, track: spliced(this.counts.track, first, last, gap) };
    }
    this.refresh();
  }

  /** Look at a unit, and tint the passage by what it does. */
  pick(unit, feature = null) {
    this.#choose(unit, feature);
    this.#tint("unit");
    this.refresh();
  }

  #choose(unit, feature) {
    this.card.show(unit, feature, this.reading.held.get(unit));
    this.rows = this.units.alongside(unit, this.card.feature);
    find("#tint-unit-name").textContent = this.units.name(unit);
    find("#map-order").textContent = this.card.feature
      ? `run from those that follow “${this.card.feature.name}” to those that go against it` : "";
  }

  /** Hold a unit at a value, or let it go (null). */
  hold(unit, value) {
    this.reading.hold(unit, value);
    const isHeld = this.reading.held.size > 0;
    find("#tint-change").disabled = !isHeld;
    this.#tint(isHeld ? "change" : "unit");
    listHeld(find("#held"), this.reading.held, this.units, (one) => this.hold(one, null));
    this.card.showHeld(this.reading.held.get(this.card.unit));
    this.refresh();
  }

  /** Show the passage as it is now, and go on in the background with what is out of view. */
  refresh() {
    const [from, to] = this.sheet.inView.map((unit) => this.#placeAt(unit));
    this.reading.show(from, Math.min(to + 1, this.reading.length));
    this.#paint(from, to);
    this.writing.changed(this.reading, this.#from(this.sheet.textarea.selectionStart));
    if (!this.busy) this.#later();
  }

  #paint(from, to) {
    const { reading, card, sheet } = this;
    sheet.paint((unit) => this.#classOf(this.#placeAt(unit)));
    this.map.draw(reading, this.rows, from, to, card.unit);
    card.draw(reading, from, to, card.feature && this.tracks[card.feature.index]);
    this.#point(this.place);
  }

  #classOf(place) {
    if (place >= this.reading.length) return "";
    return this.reading.ids[place] < 0 ? "unknown" : TINTS[this.tints](this.reading, place,
      this.card.unit, this.#gain(place));
  }

  /** The bits by which counts foresee a character better than the network alone; NaN if unknown. */
  #gain(place) {
    const steps = this.counts?.track[place] ?? NOT_KNOWN;
    return steps === NOT_KNOWN ? NaN : (steps - COUNTS_ZERO) / this.counts.steps;
  }

  #later() {
    this.busy = true;
    setTimeout(() => {
      const until = performance.now() + SLICE;
      const wasDone = this.reading.done;
      if (!wasDone) this.reading.work(until);
      else this.writing.work(until);
      this.busy = false;
      if (!wasDone && this.reading.done) this.#shownExactly();
      this.#tell();
      if (!this.reading.done || !this.writing.done) this.#later();
    });
  }

  #shownExactly() {
    this.#paint(...this.sheet.inView.map((unit) => this.#placeAt(unit)));
  }

  #tell() {
    const { reading } = this;
    let sum = 0;
    let count = 0;
    for (const bits of reading.bits) if (bits >= 0) [sum, count] = [sum + bits, count + 1];
    const mean = count ? (sum * Math.LN2) / count : 0;
    const read = Math.floor((100 * reading.reached) / reading.length);
    const share = reading.done ? "" : `, ${read}% read`;
    find("#passage-loss").textContent = `${reading.length.toLocaleString("en")} characters, `
      + `loss ${mean.toFixed(3)} nats per character, as uncertain as a choice among `
      + `${Math.exp(mean).toFixed(1)}${share}`;
  }

  #tint(by) {
    this.tints = by;
    find(`#tint-${by}`).checked = true;
    document.documentElement.dataset.tints = by;
  }

  /** Tell of a place, and frame it. */
  #point(place) {
    this.place = Math.max(0, Math.min(place ?? 0, this.reading.length - 1));
    if (!this.reading.length) return;
    const unit = this.card.unit;
    this.cursor.show(this.reading, this.place, {
      before: this.read.slice(0, this.starts[this.place]).slice(-40),
      unit: `${this.units.shortName(unit)}: ${signed(this.reading.activation(this.place, unit))}`,
      gain: this.#gain(this.place),
    });
    this.sheet.mark(this.starts[this.place]);
  }

  #listen() {
    const { textarea, element } = this.sheet;
    textarea.addEventListener("input", () => this.edit(textarea.value));
    element.addEventListener("scroll", () => requestAnimationFrame(() => this.refresh()));
    new ResizeObserver(() => this.refresh()).observe(element);
    element.addEventListener("pointermove", ({ clientX, clientY }) => {
      const unit = this.sheet.unitAt(clientX, clientY);
      if (unit !== null) this.#point(this.#placeAt(unit));
    });
    document.addEventListener("selectionchange", () => {
      if (document.activeElement !== textarea) return;
      this.#point(this.#placeAt(textarea.selectionStart));
      this.writing.changed(this.reading, this.#from(textarea.selectionStart));
      if (!this.busy) this.#later();
    });
    for (const by of Object.keys(TINTS)) {
      find(`#tint-${by}`).addEventListener("change", () => { this.#tint(by); this.refresh(); });
    }
    this.writing.onAsk = () => { if (!this.busy) this.#later(); };
    const { canvas } = this.map;
    canvas.addEventListener("pointermove", (event) => {
      const { unit, place } = this.map.at(event);
      this.map.tells.textContent = this.units.name(unit);
      this.#point(place);
    });
    canvas.addEventListener("click", (event) =>
      this.pick(this.map.at(event).unit, this.card.feature));
  }

  #drawReport(report) {
    const output = (layer, unit) => report.parts.findIndex((part) => part.layer === layer)
      * this.units.hiddenSize + unit;
    if (report.counts) tellCounts(report.counts);
    drawGates(find("#gates"), report.gates, (layer, unit) => this.pick(output(layer, unit)));
    drawDistance(find("#distance"), report.distance);
    find("#card").replaceChildren(...report.card.flatMap(([name, value]) => {
      const [term, description] = ["dt", "dd"].map((tag) => document.createElement(tag));
      [term.textContent, description.textContent] = [name, value];
      return [term, description];
    }));
  }

  /** The first place whose text begins at a unit of the text, or behind it. */
  #from(unit) {
    return firstFrom(this.starts.length - 1, (place) => this.starts[place] >= unit);
  }

  /** The place that has a unit of the text, of several bytes the last; behind the text the end. */
  #placeAt(unit) {
    return firstFrom(this.starts.length - 1, (place) => this.starts[place + 1] > unit);
  }
}

/** Say what counts change in the passage as it came. */
function tellCounts({ weights, network: without, alone, both }) {
  find("#by-counts").hidden = find("#counts-loss").hidden = false;
  const [network, counts] = weights;
  find("#counts-loss").textContent = "What is looked at is the network. The model mixes counts of "
    + `its training text in. Loss of the passage as it came: ${both.toFixed(3)} with them, `
    + `${without.toFixed(3)} without, ${alone.toFixed(3)} of counts alone. Where they have never seen `
    + `what stands before, the network weighs ${network[0]} and they ${counts[0]}; where they have `
    + `seen the most of it, ${network[1]} and ${counts[1]}.`;
}

function bestOf(features, units) {
  const r = ({ index }) => Math.abs(units.r(units.ranked(index, 1)[0], index));
  return features.reduce((best, one) => (r(one) > r(best) ? one : best));
}

function sums(lengths) {
  const starts = new Uint32Array(lengths.length + 1);
  for (let place = 0; place < lengths.length; place++) {
    starts[place + 1] = starts[place] + lengths[place];
  }
  return starts;
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

/** The list of features with their units, and the card of the chosen unit. */

import { createSvg } from "./charts.js";
import { VECTORS } from "./report.js";

const UNITS_SHOWN = 8; // of a feature
const FEATURES_SHOWN = 3; // of a unit
const PLOT = { width: 480, height: 96 };

/**
 * List the features, each with the units that correlate best with it.
 *
 * @param {(unit: number, feature: object) => void} onPick
 */
export function listFeatures(list, features, units, onPick) {
  const rate = (feature) => Math.abs(units.correlate(units.rankUnits(feature, 1)[0], feature));
  const items = [...features].sort((a, b) => rate(b) - rate(a)).map((feature) => {
    const ranking = units.rankUnits(feature, UNITS_SHOWN);
    const item = document.createElement("details");
    item.name = "features";
    const summary = item.appendChild(document.createElement("summary"));
    summary.append(createElement("b", feature.name), createMeter(units, ranking[0], feature));
    item.append(createElement("p", `${feature.meaning}; by chance ${feature.chance.toFixed(2)}`));
    const entries = item.appendChild(document.createElement("ol"));
    for (const unit of ranking) {
      const button = createElement("button", units.getName(unit));
      button.className = "quiet";
      button.addEventListener("click", () => onPick(unit, feature));
      const entry = document.createElement("li");
      entry.append(button, createMeter(units, unit, feature));
      entries.append(entry);
    }
    item.addEventListener("toggle", () => { if (item.open) onPick(ranking[0], feature); });
    return item;
  });
  list.replaceChildren(...items);
}

/** The card of the chosen unit: its features, its curve, and its held value. */
export class UnitCard {
  /**
   * @param {HTMLElement} element
   * @param {import("./report.js").Units} units
   * @param {{onPick: (unit: number) => void, onHold: (unit: number, value: number | null) => void}}
   *   listeners
   */
  constructor(element, units, { onPick, onHold }) {
    this.element = element;
    this.units = units;
    this.find = (selector) => element.querySelector(selector);
    this.unit = 0;
    this.feature = null; // the feature behind its curve
    const [part, number] = [this.find("#part"), this.find("#number")];
    units.parts.forEach(({ layer, letter }, index) => {
      part.add(new Option(`layer ${layer + 1}, ${VECTORS[letter]}`, String(index)));
    });
    number.max = String(units.hiddenSize);
    const pick = () => {
      const inPart = Math.min(units.hiddenSize, Math.max(1, Math.round(number.valueAsNumber) || 1));
      onPick(Number(part.value) * units.hiddenSize + inPart - 1);
    };
    part.addEventListener("change", pick);
    number.addEventListener("change", pick);
    this.find("#off").addEventListener("click", () => onHold(this.unit, 0));
    this.find("#free").addEventListener("click", () => onHold(this.unit, null));
    this.find("#value").addEventListener("input", (event) => {
      onHold(this.unit, event.target.valueAsNumber);
    });
  }

  /** Show a unit. @param {number | undefined} value  Its held value. */
  show(unit, feature, value) {
    const { units } = this;
    const features = units.rankFeatures(unit, FEATURES_SHOWN);
    this.unit = unit;
    this.feature = feature ?? features[0] ?? null;
    this.find("h3").textContent = capitalize(units.getName(unit));
    this.find("#part").value = String(Math.floor(unit / units.hiddenSize));
    this.find("#number").value = String((unit % units.hiddenSize) + 1);
    this.find("#follows").replaceChildren(...features.map((other) => {
      const entry = createElement("li", other.name);
      entry.append(createMeter(units, unit, other));
      return entry;
    }));
    this.showHeld(value);
  }

  /** Show the held value of the unit; undefined if it is not held. */
  showHeld(value) {
    const isHeld = value !== undefined;
    this.find("#free").disabled = !isHeld;
    this.find("#off").disabled = value === 0;
    this.find("#value").value = String(value ?? 0);
    this.find("output").textContent = isHeld ? value.toFixed(2) : "not held";
  }

  /**
   * Draw the unit's curve over the visible places, and behind it the feature.
   *
   * @param {Uint8Array | null} track  The feature at each place; 255: unknown.
   */
  draw(reading, start, end, track) {
    const { width, height } = PLOT;
    const x = (place) => (((place - start) / Math.max(1, end - start)) * width).toFixed(1);
    const curve = [];
    const area = [`0,${height}`];
    for (let place = start; place < end; place++) {
      const y = height / 2 - (reading.getActivation(place, this.unit) * (height - 6)) / 2;
      curve.push(`${x(place)},${y.toFixed(1)}`);
      const share = track && track[place] < 255 ? track[place] / 254 : 0;
      const top = (height * (1 - share)).toFixed(1);
      area.push(`${x(place)},${top}`, `${x(place + 1)},${top}`);
    }
    area.push(`${width},${height}`);
    this.find("#curve").replaceChildren(
      createSvg("polygon", { points: area.join(" "), class: "track" }),
      createSvg("line", { x1: 0, x2: width, y1: height / 2, y2: height / 2, class: "zero" }),
      createSvg("polyline", { points: curve.join(" "), class: "curve" }),
    );
    this.find("#curve-feature").textContent = this.feature ? this.feature.name : "no feature";
  }
}

/** List the held units, each with a button that releases it. */
export function listHeld(list, held, units, onRelease) {
  list.replaceChildren(...[...held].map(([unit, value]) => {
    const state = value === 0 ? "off" : `at ${value.toFixed(2)}`;
    const button = createElement("button", `${units.getShortName(unit)} ${state} ×`);
    button.className = "chip";
    button.setAttribute("aria-label", `Release ${units.getName(unit)}, held ${state}`);
    button.addEventListener("click", () => onRelease(unit));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

/** Create a bar and a number for a correlation, with a tick at the level of chance. */
function createMeter(units, unit, feature) {
  const r = units.correlate(unit, feature);
  const level = 100 * feature.chance;
  const meter = document.createElement("span");
  meter.className = Math.abs(r) > feature.chance ? "meter" : "meter chance";
  const bar = createSvg("svg", { viewBox: "0 0 100 10", "aria-hidden": "true", class: "bar",
    preserveAspectRatio: "none" },
  createSvg("rect", { x: 0, y: 2, width: 100 * Math.abs(r), height: 6,
    class: r < 0 ? "negative" : "positive" }),
  createSvg("line", { x1: level, x2: level, y1: 0, y2: 10, class: "level" }));
  meter.append(bar, createElement("span", `${r < 0 ? "−" : ""}${Math.abs(r).toFixed(2)}`));
  return meter;
}

function createElement(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

const capitalize = (text) => text[0].toUpperCase() + text.slice(1);

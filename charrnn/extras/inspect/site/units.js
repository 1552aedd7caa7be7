/** Which units follow what, and the unit that one looks at. */

import { svg } from "./charts.js";
import { PARTS } from "./report.js";

const RANKED = 8; // units of a feature
const FOLLOWED = 3; // features of a unit
const PLOT = { width: 480, height: 96 };

/**
 * The features, each with the units that follow it most closely.
 *
 * @param {(unit: number, feature: object) => void} onPick
 */
export function listFeatures(list, features, units, onPick) {
  const best = (feature) => Math.abs(units.r(units.ranked(feature.index, 1)[0], feature.index));
  const items = [...features].sort((a, b) => best(b) - best(a)).map((feature) => {
    const [first, ...others] = units.ranked(feature.index, RANKED);
    const item = document.createElement("details");
    item.name = "features";
    const summary = item.appendChild(document.createElement("summary"));
    summary.append(element("b", feature.name), measure(units.r(first, feature.index), feature));
    item.append(element("p", `${feature.meaning}; by chance up to ${feature.chance.toFixed(2)}`));
    const ranked = item.appendChild(document.createElement("ol"));
    for (const unit of [first, ...others]) {
      const button = element("button", units.name(unit));
      button.className = "quiet";
      button.addEventListener("click", () => onPick(unit, feature));
      const entry = document.createElement("li");
      entry.append(button, measure(units.r(unit, feature.index), feature));
      ranked.append(entry);
    }
    item.addEventListener("toggle", () => { if (item.open) onPick(first, feature); });
    return item;
  });
  list.replaceChildren(...items);
}

/** The unit that one looks at: what it follows, its course, and whether it is held. */
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
    this.feature = null; // the one that its course is shown beside
    const [part, number] = [this.find("#part"), this.find("#number")];
    units.parts.forEach(({ layer, letter }, index) => {
      part.add(new Option(`layer ${layer + 1}, ${PARTS[letter]}`, String(index)));
    });
    number.max = String(units.hiddenSize);
    const pick = () => {
      const within = Math.min(units.hiddenSize, Math.max(1, Math.round(number.valueAsNumber) || 1));
      onPick(Number(part.value) * units.hiddenSize + within - 1);
    };
    part.addEventListener("change", pick);
    number.addEventListener("change", pick);
    this.find("#off").addEventListener("click", () => onHold(this.unit, 0));
    this.find("#free").addEventListener("click", () => onHold(this.unit, null));
    this.find("#value").addEventListener("input", (event) => {
      onHold(this.unit, event.target.valueAsNumber);
    });
  }

  /** Look at a unit. @param {number | undefined} value  At which it is held. */
  show(unit, feature, value) {
    const { units } = this;
    const followed = units.followed(unit, FOLLOWED);
    this.unit = unit;
    this.feature = feature ?? followed[0] ?? null;
    this.find("h3").textContent = capitalized(units.name(unit));
    this.find("#part").value = String(Math.floor(unit / units.hiddenSize));
    this.find("#number").value = String((unit % units.hiddenSize) + 1);
    this.find("#follows").replaceChildren(...followed.map((one) => {
      const entry = element("li", one.name);
      entry.append(measure(units.r(unit, one.index), one));
      return entry;
    }));
    this.showHeld(value);
  }

  showHeld(value) {
    const isHeld = value !== undefined;
    this.find("#free").disabled = !isHeld;
    this.find("#off").disabled = value === 0;
    this.find("#value").value = String(value ?? 0);
    this.find("output").textContent = isHeld ? value.toFixed(2) : "free";
  }

  /**
   * Draw the unit's course over the places in view, and behind it the feature.
   *
   * @param {Uint8Array | null} track  The feature at each place; 255 where it is not known.
   */
  draw(reading, start, end, track) {
    const { width, height } = PLOT;
    const x = (place) => (((place - start) / Math.max(1, end - start)) * width).toFixed(1);
    const course = [];
    const behind = [];
    for (let place = start; place < end; place++) {
      const y = height / 2 - (reading.activation(place, this.unit) * (height - 6)) / 2;
      course.push(`${x(place)},${y.toFixed(1)}`);
      const share = track && track[place] < 255 ? track[place] / 254 : 0;
      behind.push(`${x(place)},${(height * (1 - share)).toFixed(1)}`,
        `${x(place + 1)},${(height * (1 - share)).toFixed(1)}`);
    }
    this.find("#course").replaceChildren(
      svg("polygon", { points: [`0,${height}`, ...behind, `${width},${height}`].join(" "),
        class: "track" }),
      svg("line", { x1: 0, x2: width, y1: height / 2, y2: height / 2, class: "zero" }),
      svg("polyline", { points: course.join(" "), class: "course" }),
    );
    this.find("#course-of").textContent = this.feature ? this.feature.name : "no feature";
  }
}

/** The units that are held, each with a button that lets it go. */
export function listHeld(list, held, units, onFree) {
  list.replaceChildren(...[...held].map(([unit, value]) => {
    const how = value === 0 ? "off" : `at ${value.toFixed(2)}`;
    const button = element("button", `${units.shortName(unit)} ${how} ×`);
    button.className = "chip";
    button.setAttribute("aria-label", `Let ${units.name(unit)} go, which is held ${how}`);
    button.addEventListener("click", () => onFree(unit));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

/** A correlation as a number and a bar, with a mark at the level of chance. */
function measure(r, { chance }) {
  const holder = document.createElement("span");
  holder.className = Math.abs(r) > chance ? "measure" : "measure chance";
  const bar = svg("svg", { viewBox: "0 0 100 10", "aria-hidden": "true", class: "bar",
    preserveAspectRatio: "none" },
  svg("rect", { x: 0, y: 2, width: 100 * Math.abs(r), height: 6,
    class: r < 0 ? "negative" : "positive" }),
  svg("line", { x1: 100 * chance, x2: 100 * chance, y1: 0, y2: 10, class: "level" }));
  holder.append(bar, element("span", `${r < 0 ? "−" : ""}${Math.abs(r).toFixed(2)}`));
  return holder;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

const capitalized = (text) => text[0].toUpperCase() + text.slice(1);

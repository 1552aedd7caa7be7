/** What the model expected at the place that one points at. */

import { levelOf } from "../../page/site/tint.js";
import { percent } from "./measurements.js";
import { named, shown } from "./places.js";

const ALTERNATIVES = 6;

export class CursorCard {
  /**
   * @param {HTMLElement} element
   * @param {import("../../page/site/network/vocabulary.js").Vocabulary} vocabulary
   */
  constructor(element, vocabulary) {
    this.element = element;
    this.vocabulary = vocabulary;
  }

  /**
   * @param {import("./reading.js").Reading} reading
   * @param {{before: string, unit: string, gain: number}} tells  The text before it, what the unit
   *   does, and the bits that counts gain.
   */
  show(reading, place, { before, unit, gain }) {
    const found = reading.alternatives(place, ALTERNATIVES);
    const find = (selector) => this.element.querySelector(selector);
    find(".before").textContent = before.replaceAll("\n", "↵").replaceAll("\t", "⇥");
    find(".at-unit").textContent = unit;
    const bits = reading.bits[place];
    const came = found?.came;
    const what = find(".came");
    what.className = `came level-${bits >= 0 ? levelOf(bits) : 0}`;
    what.textContent = came ? this.#name(came.id) : "unknown";
    const counted = isNaN(gain) ? "" : `, ${Math.max(0, bits - gain).toFixed(1)} with counts`;
    find(".bits").textContent = bits >= 0 ? `${bits.toFixed(1)} bits${counted}` : "";
    const rows = found?.likeliest ?? [];
    if (came && !rows.some(({ id }) => id === came.id)) rows.splice(-1, 1, came);
    find("ol").replaceChildren(...rows.map((row) => this.#row(row, row.id === came?.id)));
  }

  #row({ id, probability }, isCame) {
    const item = document.createElement("li");
    if (isCame) item.className = "is-came";
    const name = document.createElement("span");
    name.textContent = this.#name(id);
    const bar = document.createElement("i");
    bar.style.inlineSize = `${100 * probability}%`;
    const track = document.createElement("span");
    track.className = "track";
    track.append(bar);
    const share = document.createElement("span");
    share.textContent = percent(probability);
    item.append(name, track, share);
    return item;
  }

  #name(id) {
    return shown(named(this.vocabulary.characters[id]));
  }
}

/** The likeliest characters at the place under the cursor. */

import { toLevel } from "../../page/site/tint.js";
import { nameCharacter, toVisible } from "./places.js";

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
   * @param {{before: string, unit: string, gain: number}} details  The text before the place, the
   *   value of the unit, and the surprise, in bits, that the counts remove (NaN if unknown).
   */
  show(reading, place, { before, unit, gain }) {
    const predictions = reading.predict(place, ALTERNATIVES);
    const find = (selector) => this.element.querySelector(selector);
    find(".before").textContent = before.replaceAll("\n", "↵").replaceAll("\t", "⇥");
    find(".unit-value").textContent = unit;
    const bits = reading.bits[place];
    const actual = predictions?.actual;
    const label = find(".actual");
    label.className = `actual level-${bits >= 0 ? toLevel(bits) : 0}`;
    label.textContent = actual ? this.#nameToken(actual.id) : "unknown";
    const mixed = isNaN(gain) ? "" : `, ${Math.max(0, bits - gain).toFixed(1)} with counts`;
    find(".bits").textContent = bits >= 0 ? `${bits.toFixed(1)} bits${mixed}` : "";
    const rows = predictions?.likeliest ?? [];
    if (actual && !rows.some(({ id }) => id === actual.id)) rows.splice(-1, 1, actual);
    find("ol").replaceChildren(...rows.map((row) => this.#makeRow(row, row.id === actual?.id)));
  }

  #makeRow({ id, probability }, isActual) {
    const item = document.createElement("li");
    if (isActual) item.className = "is-actual";
    const name = document.createElement("span");
    name.textContent = this.#nameToken(id);
    const bar = document.createElement("i");
    bar.style.inlineSize = `${100 * probability}%`;
    const track = document.createElement("span");
    track.className = "track";
    track.append(bar);
    const share = document.createElement("span");
    share.textContent = formatShare(probability);
    item.append(name, track, share);
    return item;
  }

  #nameToken(id) {
    return toVisible(nameCharacter(this.vocabulary.characters[id]));
  }
}

function formatShare(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;
}

/** What is chosen on the page: how to write, and what to show. */

import { keepSettings, keptSettings } from "./keeping.js";

const LENGTHS = [20, 50, 100, 200, 300, 500, 1000, 2000];
const LARGEST_SEED = 2 ** 31 - 1;

/** How a field's value is read, and how it is told beside it. */
const FIELDS = {
  temperature: { value: Number, told: (value) => Number(value).toFixed(2) },
  length: {
    value: (index) => LENGTHS[index],
    told: (index) => `${LENGTHS[index].toLocaleString("en")} characters`,
  },
  "alternatives-count": { value: Number, told: String },
  topP: { value: Number, told: (value) => Number(value).toFixed(2) },
};

export class Settings {
  /** @param {HTMLElement} root  Holds a field with the id of each setting. */
  constructor(root) {
    this.root = root;
    this.summary = root.querySelector("#summary");
    this.model = root.querySelector("#model");
    const kept = keptSettings();
    for (const field of this.#fields()) {
      if (field.type === "checkbox") field.checked = kept[field.id] ?? field.checked;
      else if (field.id in kept) field.value = kept[field.id];
      field.addEventListener("input", () => this.#changed());
    }
    this.#tell();
  }

  /** Offer the names of models; one alone is only named. */
  offer(models) {
    const chosen = keptSettings().model;
    this.model.replaceChildren(...models.map((name) => new Option(name, name)));
    if (models.includes(chosen)) this.model.value = chosen;
    this.model.disabled = models.length < 2;
  }

  offerCopied(possible) {
    this.root.querySelector("#copied-choice").hidden = !possible;
    document.documentElement.classList.toggle("tells-copies", possible);
  }

  /** Tick a box, or not, unless the reader has chosen. */
  suggest(name, checked) {
    if (!(name in keptSettings())) this.root.querySelector(`#${name}`).checked = checked;
    this.#tell();
  }

  offerAlong() {
    this.root.querySelector("#along-choice").hidden = false;
    this.#tell();
  }

  /** Whether continuations are written as one types. */
  get writesAlong() {
    return !this.root.querySelector("#along-choice").hidden
      && this.root.querySelector("#write-along").checked;
  }

  /** The chosen model; none while none is known, which asks for the writer's first. */
  get chosenModel() {
    return this.model.value || undefined;
  }

  /** Whether what was typed is tinted, too. */
  get scoresTyped() {
    return this.root.querySelector("#show-typed").checked;
  }

  /** Whether a click on a character shows the others that could stand there. */
  get showsOthers() {
    return this.root.querySelector("#show-others").checked;
  }

  /** What a writer is asked for; each time with another seed unless one was given. */
  request() {
    const value = (name) => FIELDS[name].value(this.root.querySelector(`#${name}`).value);
    const temperature = value("temperature");
    const seed = this.root.querySelector("#seed");
    const given = seed.value !== "" && seed.checkValidity();
    return {
      model: this.chosenModel,
      maxTokens: value("length"),
      temperature,
      topP: value("topP"),
      // without chance there is only one continuation
      n: temperature === 0 ? 1 : value("alternatives-count"),
      seed: given ? Number(seed.value) : Math.floor(Math.random() * LARGEST_SEED),
    };
  }

  #fields() {
    return this.root.querySelectorAll("input, select");
  }

  #changed() {
    const values = [...this.#fields()].map((field) =>
      [field.id, field.type === "checkbox" ? field.checked : field.value]);
    keepSettings(Object.fromEntries(values));
    this.#tell();
  }

  #tell() {
    for (const [name, { told }] of Object.entries(FIELDS)) {
      const field = this.root.querySelector(`#${name}`);
      this.root.querySelector(`output[for=${name}]`).textContent = told(field.value);
      field.setAttribute("aria-valuetext", told(field.value));
    }
    const { maxTokens, temperature, n } = this.request();
    const texts = n === 1 ? "1 text" : `${n} texts`;
    this.summary.textContent = `${temperature.toFixed(2)} · ${maxTokens} chars · ${texts}`;
    const even = this.root.querySelector("#even").checked;
    document.documentElement.classList.toggle("even", even);
    document.documentElement.classList.toggle("along", this.writesAlong);
    // Highlights are of the whole document, so what is shown is a class of its root.
    for (const name of ["surprise", "copied"]) {
      const shown = this.root.querySelector(`#show-${name}`).checked;
      document.documentElement.classList.toggle(`without-${name}`, !shown);
    }
  }
}

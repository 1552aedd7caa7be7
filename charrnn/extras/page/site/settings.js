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
  entries: { value: Number, told: String },
  top_p: { value: Number, told: (value) => Number(value).toFixed(2) },
  min_p: { value: Number, told: (value) => Number(value).toFixed(2) },
  dry_multiplier: { value: Number, told: (value) => (Number(value) || "off").toString() },
};

/** Fields of SamplingParams (charrnn/options/sampling.py), whose defaults come from there. */
const SAMPLING = ["temperature", "top_p", "min_p", "dry_multiplier"];

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
      field.addEventListener("input", () => this.#changed(field));
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

  /** Begin with these values, where the reader has chosen no other. */
  useDefaults(values) {
    const kept = keptSettings();
    for (const name of SAMPLING) {
      if (!(name in kept) && values[name] != null) this.#field(name).value = values[name];
    }
    this.#tell();
  }

  offerCopied(possible) {
    this.root.querySelector("#copied-choice").hidden = !possible;
    document.documentElement.classList.toggle("tells-copies", possible);
  }

  /** Tick a box, or not, unless the reader has chosen. */
  suggest(name, checked) {
    if (!(name in keptSettings())) this.#field(name).checked = checked;
    this.#tell();
  }

  offerAlong() {
    this.root.querySelector("#along-choice").hidden = false;
    this.#tell();
  }

  /** Whether continuations are written as one types. */
  get writesAlong() {
    return !this.#field("along-choice").hidden && this.#field("write-along").checked && !this.lists;
  }

  /** Whether a list is written instead of a text. */
  get lists() {
    return this.#field("lists").checked;
  }

  /** How a list is ordered. */
  get order() {
    return this.#field("order").value;
  }

  /** Whether lines of the training text are left out of a list. */
  get hidesKnown() {
    return this.#field("hide-known").checked;
  }

  /** The chosen model; none while none is known, which asks for the writer's first. */
  get chosenModel() {
    return this.model.value || undefined;
  }

  /** Whether what was typed is tinted, too. */
  get scoresTyped() {
    return this.#field("show-typed").checked;
  }

  /** Whether a click on a character shows the others that could stand there. */
  get showsOthers() {
    return this.#field("show-others").checked;
  }

  /** What a writer is asked for; each time with another seed unless one was given. */
  request() {
    const how = this.#how();
    // without chance there is only one continuation
    const n = how.temperature === 0 ? 1 : this.#value("alternatives-count");
    return { ...how, max_tokens: this.#value("length"), n };
  }

  /** The same of a list: what each entry begins with, and how many there are to be. */
  listRequest() {
    const { value: prompt } = this.#field("begins");
    return { ...this.#how(), prompt, entries: this.#value("entries") };
  }

  #how() {
    const seed = this.#field("seed");
    const given = seed.value !== "" && seed.checkValidity();
    return {
      model: this.chosenModel,
      ...Object.fromEntries(SAMPLING.map((name) => [name, this.#value(name)])),
      seed: given ? Number(seed.value) : Math.floor(Math.random() * LARGEST_SEED),
    };
  }

  #field(name) {
    return this.root.querySelector(`#${name}`);
  }

  #value(name) {
    return FIELDS[name].value(this.#field(name).value);
  }

  #fields() {
    return this.root.querySelectorAll("input:not([type=password], [type=file]), select");
  }

  #changed({ id, type, checked, value }) {
    keepSettings({ ...keptSettings(), [id]: type === "checkbox" ? checked : value });
    this.#tell();
  }

  #tell() {
    for (const [name, { told }] of Object.entries(FIELDS)) {
      const field = this.#field(name);
      this.root.querySelector(`output[for=${name}]`).textContent = told(field.value);
      field.setAttribute("aria-valuetext", told(field.value));
    }
    const { max_tokens, temperature, n } = this.request();
    const texts = `${max_tokens} chars · ${n === 1 ? "1 text" : `${n} texts`}`;
    const what = this.lists ? `${this.#value("entries")} entries` : texts;
    this.summary.textContent = `${temperature.toFixed(2)} · ${what}`;
    const { classList } = document.documentElement;
    classList.toggle("even", this.#field("even").checked);
    classList.toggle("along", this.writesAlong);
    classList.toggle("listing", this.lists);
    // Highlights are of the whole document, so what is shown is a class of its root.
    for (const name of ["surprise", "copied"]) {
      classList.toggle(`without-${name}`, !this.#field(`show-${name}`).checked);
    }
  }
}

/** The settings on the page: how the model writes, and what the page shows. */

import { loadSettings, storeSettings } from "./storage.js";

const LENGTHS = [20, 50, 100, 200, 300, 500, 1000, 2000];
const LARGEST_SEED = 2 ** 31 - 1;

/** The sliders: how to read their values, and how to show the values. */
const SLIDERS = {
  temperature: { read: Number, format: (value) => Number(value).toFixed(2) },
  new_words: { read: (i) => [0, null, 1][i], format: (i) => ["none", "few", "free"][i] },
  length: {
    read: (index) => LENGTHS[index],
    format: (index) => `${LENGTHS[index].toLocaleString("en")} characters`,
  },
  "alternatives-count": { read: Number, format: String },
  entries: { read: Number, format: String },
  top_p: { read: Number, format: (value) => Number(value).toFixed(2) },
  min_p: { read: Number, format: (value) => Number(value).toFixed(2) },
  dry_multiplier: { read: Number, format: (value) => (Number(value) || "off").toString() },
  dry_allowed_length: { read: Number, format: (value) => `${value} characters` },
};

/** Fields of SamplingParams (charrnn/options/sampling.py); the writer has their defaults. */
const SAMPLING = [
  "temperature", "new_words", "top_p", "min_p", "dry_multiplier", "dry_allowed_length",
];

export class Settings {
  /** @param {HTMLElement} root  Has a field for each setting; their ids are stored. */
  constructor(root) {
    this.root = root;
    this.summary = root.querySelector("#summary");
    this.model = root.querySelector("#model");
    const stored = loadSettings();
    const fields = "input:not([type=password], [type=file], #shelf-name), select";
    for (const field of root.querySelectorAll(`:is(${fields}):not(#learn *)`)) {
      if (field.type === "checkbox") field.checked = stored[field.id] ?? field.checked;
      else if (field.id in stored) field.value = stored[field.id];
      field.addEventListener("input", () => this.#store(field));
    }
    this.#updateView();
  }

  /**
   * Offer the models for choice; a single model is only shown.
   *
   * @param {import("./writer.js").ModelCard[]} models
   */
  setModels(models) {
    const chosen = loadSettings().model;
    this.model.replaceChildren(...models.map(({ id }) => new Option(id, id)));
    if (models.some(({ id }) => id === chosen)) this.model.value = chosen;
    this.model.disabled = models.length < 2;
    this.cards = new Map(models.map((card) => [card.id, card]));
    this.setModelDefaults();
  }

  /** Show the options of the chosen model, and set those that the reader has not set. */
  setModelDefaults() {
    const card = this.cards.get(this.chosenModel);
    this.#find("new-words-choice").hidden = !this.knowsWords;
    this.setDefault("lists", card?.is_list);
    this.setDefault("even", card?.is_code);
  }

  /** Set sampling options to these values, unless the reader has chosen others. */
  setSamplingDefaults(values) {
    const stored = loadSettings();
    for (const name of SAMPLING) {
      if (!(name in stored) && values[name] != null) this.#find(name).value = values[name];
    }
    this.#updateView();
  }

  /** Offer no more texts, and no longer ones, than the writer allows. */
  setLimits({ n = Infinity, max_tokens = Infinity } = {}) {
    const [count, length] = ["alternatives-count", "length"].map((id) => this.#find(id));
    count.max = Math.min(count.max, n);
    length.max = Math.max(0, LENGTHS.findLastIndex((each) => each <= max_tokens));
    this.#updateView();
  }

  /** Check or uncheck a box, unless the reader has done so. */
  setDefault(name, checked) {
    if (!(name in loadSettings())) this.#find(name).checked = checked;
    this.#updateView();
  }

  showCopiesOption(isShown) {
    this.#find("copied-choice").hidden = !isShown;
    document.documentElement.classList.toggle("finds-copies", isShown);
  }

  showSuggestOption() {
    this.#find("suggest-choice").hidden = false;
    this.#updateView();
  }

  /** Whether the page suggests continuations while the reader types. */
  get suggests() {
    const isOffered = !this.#find("suggest-choice").hidden;
    return isOffered && this.#find("write-along").checked && !this.isList;
  }

  /** Whether the page writes a list instead of a text. */
  get isList() {
    return this.#find("lists").checked;
  }

  /** The order of the list: a key of ORDERS. */
  get order() {
    return this.#find("order").value;
  }

  /** Whether new entries of the list shall be like the starred ones. */
  get likesStarred() {
    return this.#find("like-starred").checked;
  }

  /** The chosen model; undefined while no models are known, which asks for the first. */
  get chosenModel() {
    return this.model.value || undefined;
  }

  /** Whether the chosen model knows words. */
  get knowsWords() {
    return Boolean(this.cards?.get(this.chosenModel)?.knows_words);
  }

  /** Whether to tint typed text, too. */
  get scoresTyped() {
    return this.#find("show-typed").checked;
  }

  /** Whether a click on a character opens the menu of other words. */
  get opensCharacterMenu() {
    return this.#find("show-others").checked;
  }

  /** Return the options of a request. Without a seed in the settings, each has a new seed. */
  makeRequest() {
    const options = this.#readOptions();
    // at temperature 0 all continuations are equal
    const n = options.temperature === 0 ? 1 : this.#read("alternatives-count");
    const stop = this.#find("stop").value.replaceAll("\\n", "\n") || null;
    return { ...options, max_tokens: this.#read("length"), n, stop };
  }

  /** Return the options of a list, with the start of each entry as the prompt. */
  makeListRequest() {
    const { value: prompt } = this.#find("begins");
    return { ...this.#readOptions(), prompt, entries: this.#read("entries") };
  }

  #readOptions() {
    const seed = this.#find("seed");
    const hasSeed = seed.value !== "" && seed.checkValidity();
    return {
      model: this.chosenModel,
      ...Object.fromEntries(SAMPLING.map((name) => [name, this.#read(name)])),
      ban: this.#find("ban").value || null,
      seed: hasSeed ? Number(seed.value) : Math.floor(Math.random() * LARGEST_SEED),
    };
  }

  #find(id) {
    return this.root.querySelector(`#${id}`);
  }

  #read(id) {
    return SLIDERS[id].read(this.#find(id).value);
  }

  #store({ id, type, checked, value }) {
    storeSettings({ ...loadSettings(), [id]: type === "checkbox" ? checked : value });
    this.#updateView();
  }

  #updateView() {
    for (const [id, { format }] of Object.entries(SLIDERS)) {
      const slider = this.#find(id);
      this.root.querySelector(`output[for=${id}]`).textContent = format(slider.value);
      slider.setAttribute("aria-valuetext", format(slider.value));
    }
    const { max_tokens, temperature, n } = this.makeRequest();
    const texts = `${max_tokens} chars · ${n === 1 ? "1 text" : `${n} texts`}`;
    const amount = this.isList ? `${this.#read("entries")} entries` : texts;
    this.summary.textContent = `${temperature.toFixed(2)} · ${amount}`;
    const { classList } = document.documentElement;
    classList.toggle("fixed-width", this.#find("even").checked);
    classList.toggle("suggesting", this.suggests);
    classList.toggle("listing", this.isList);
    // CSS highlights belong to the whole document, so classes of its root switch them off.
    for (const name of ["surprise", "copied"]) {
      classList.toggle(`without-${name}`, !this.#find(`show-${name}`).checked);
    }
  }
}

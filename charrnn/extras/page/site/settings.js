/** The settings on the page: how the model writes, and what the page shows. */

import { findParagraphEnd, findSentenceEnd } from "./ending.js";
import { loadMode, loadSettings, storeMode, storeSettings } from "./storage.js";

const LARGEST_SEED = 2 ** 31 - 1;
const CHARACTERS = 200; // of a continuation of a text that is no prose, such as code

/** How to read the fields of numbers. */
const READERS = { new_words: (value) => ({ none: 0, few: null, free: 1 })[value] };

/** Lengths that are no number of characters: where a text is complete, and the most characters. */
const UNITS = {
  sentence: { findEnd: findSentenceEnd, max_tokens: 400 },
  paragraph: { findEnd: findParagraphEnd, max_tokens: 1500 },
};

/** Fields of SamplingParams (charrnn/options/sampling.py); the model has their defaults. */
const SAMPLING = ["temperature", "new_words", "dry_multiplier"];

export class Settings {
  /** @param {HTMLElement} root  Has a field for each setting; their ids are stored. */
  constructor(root) {
    this.root = root;
    this.model = null;
    const stored = loadSettings();
    for (const field of root.querySelectorAll("footer :is(input, select), #begins")) {
      if (field.type === "checkbox") field.checked = stored[field.id] ?? field.checked;
      else if (field.id in stored) field.value = stored[field.id];
      field.addEventListener("input", () => this.#store(field));
    }
    this.#find("lists").addEventListener("input", ({ target }) => {
      storeMode(this.model.about.title, target.checked ? "list" : "text");
      this.#updateView();
    });
  }

  /** Show the options of a model, and its defaults for those that the reader has not set. */
  setModel(model) {
    this.model = model;
    const { about, sampling, knowsWords, hasText } = model;
    this.#find("new-words-choice").hidden = !knowsWords;
    this.#find("copies-choice").hidden = !hasText;
    document.documentElement.classList.toggle("fixed-width", about.is_code);
    this.#find("lists").checked = (loadMode(about.title) ?? (about.is_list && "list")) === "list";
    const isProse = !about.is_code && !about.is_list;
    const stored = loadSettings();
    const defaults = { ...sampling, new_words: "few", length: isProse ? "sentence" : CHARACTERS };
    for (const name of [...SAMPLING, "length"]) {
      if (!(name in stored)) this.#find(name).value = defaults[name];
    }
    this.#updateView();
  }

  /** Whether the page suggests continuations while the reader types. */
  get suggests() {
    return this.#find("write-along").checked && !this.isList;
  }

  /** Whether the page writes a list instead of a text. */
  get isList() {
    return this.#find("lists").checked;
  }

  /** Whether characters are tinted by their surprise. */
  get tints() {
    return this.#find("show-surprise").checked;
  }

  /** Whether a click on a character opens the menu of other words. */
  get opensMenu() {
    return this.#find("show-others").checked;
  }

  /** Return the options of a request, each with a new seed. */
  makeRequest() {
    const { value } = this.#find("length");
    const length = UNITS[value] ?? { max_tokens: Number(value) };
    const copiesLess = this.#find("copy-less").checked;
    return { ...this.#readOptions(), ...length, n: this.#read("number"), copiesLess };
  }

  /** Return the options of a list, with the start of each entry as the prompt. */
  makeListRequest() {
    const { value: prompt } = this.#find("begins");
    return { ...this.#readOptions(), prompt, entries: this.#read("entries") };
  }

  #readOptions() {
    return {
      ...Object.fromEntries(SAMPLING.map((name) => [name, this.#read(name)])),
      seed: Math.floor(Math.random() * LARGEST_SEED),
    };
  }

  #find(id) {
    return this.root.querySelector(`#${id}`);
  }

  #read(id) {
    return (READERS[id] ?? Number)(this.#find(id).value);
  }

  #store({ id, type, checked, value }) {
    storeSettings({ ...loadSettings(), [id]: type === "checkbox" ? checked : value });
    this.#updateView();
  }

  #updateView() {
    const temperature = this.#find("temperature");
    this.#find("temperature-shown").textContent = Number(temperature.value).toFixed(2);
    const { classList } = document.documentElement;
    classList.toggle("suggesting", this.suggests);
    classList.toggle("listing", this.isList);
  }
}

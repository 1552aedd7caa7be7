/** A training in the list: its state, its curve, what it wrote, and what one can do with it. */

import { drawCurve } from "./curve.js";
import { ask } from "./question.js";
import { describeState, describeText } from "./sentences.js";

export class TrainingItem {
  /**
   * @param {object} acts  Has a function for each `data-act` in trainings.html, `rename` and
   *   `saveFile`. They get the training, and throw errors for the reader.
   * @param {() => void} onOpen
   */
  constructor(acts, onOpen) {
    const template = document.querySelector("#training-template").content;
    this.element = template.cloneNode(true).firstElementChild;
    this.training = null;
    this.numShown = 0; // samples
    const details = this.#find("details");
    details.addEventListener("toggle", () => details.open && onOpen());
    details.addEventListener("click", ({ target }) => {
      const { act, file } = target.dataset;
      if (act === "remove") this.#remove(target, acts);
      else if (act) this.#run(() => acts[act](this.training));
      else if (file) this.#run(() => acts.saveFile(this.training, file));
    });
    const field = this.#find(".rename");
    field.addEventListener("change", () => {
      field.value ||= this.training.name;
      this.#run(() => acts.rename(this.training, field.value));
    });
  }

  get isOpen() {
    return this.#find("details").open;
  }

  open() {
    this.#find("details").open = true;
  }

  /** @param {object} training  @param {object | undefined} card  Of its model, if it has one. */
  show(training, card) {
    const { name, state, is_mine, is_shared, has_model } = training;
    this.training = training;
    this.#find(".name").textContent = name;
    this.#find(".of-another").hidden = is_mine;
    this.#find(".state").textContent = describeState(training);
    this.#find(".about").textContent = describeText(training);
    const field = this.#find(".rename");
    if (field !== document.activeElement) field.value = name;
    const offered = {
      write: has_model || is_mine,
      stop: state === "waiting" || state === "training",
      resume: state === "stopped" || state === "failed",
      share: is_mine && !is_shared,
      hide: is_shared,
    };
    for (const [act, isOffered] of Object.entries(offered)) {
      this.#find(`[data-act=${act}]`).hidden = !isOffered;
    }
    const files = card?.files ?? [];
    this.#find(".files").hidden = !files.length;
    for (const button of this.element.querySelectorAll("[data-file]")) {
      button.hidden = !files.includes(button.dataset.file);
    }
    if (training.samples && this.isOpen) this.#showProgress(training);
  }

  #showProgress({ samples, ...losses }) {
    drawCurve(this.#find(".losses"), losses);
    this.#find(".samples").hidden = !samples.length;
    if (samples.length === this.numShown) return;
    this.numShown = samples.length;
    const { step, text } = samples.at(-1);
    this.#find(".step").textContent = step.toLocaleString("en");
    this.#find(".newest").textContent = text;
    this.#find(".older").hidden = samples.length < 2;
    this.#find(".older ol").replaceChildren(...samples.slice(0, -1).reverse().map((sample) => {
      const item = document.createElement("li");
      item.append(`Step ${sample.step.toLocaleString("en")}`);
      item.appendChild(document.createElement("pre")).textContent = sample.text;
      return item;
    }));
  }

  async #remove(button, acts) {
    const { name } = this.training;
    const sentence = `Delete “${name}” with its text and its network? This cannot be undone.`;
    if (await ask(button, sentence)) await this.#run(() => acts.remove(this.training));
  }

  /** Do what a button or a field asks for, once at a time, and say what is wrong with it. */
  async #run(act) {
    if (this.element.ariaBusy) return;
    this.element.ariaBusy = "true";
    this.#find(".failure").textContent = "";
    await act().catch((error) => { this.#find(".failure").textContent = error.message; });
    this.element.ariaBusy = null;
    // the button that had the focus may be hidden now
    if (document.activeElement === document.body) this.#find("summary").focus();
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}

/** The card on which the reader gives a text: a file, dropped or chosen, or a pasted text. */

import { isTouch } from "./editor.js";
import { translate } from "./language.js";
import { readFiles, readPastedText } from "./text-file.js";

export class LearningCard {
  /**
   * @param {HTMLElement} region
   * @param {number} most  The most characters that are learnt.
   * @param {(given: {name: string, text: string}) => Promise<void>} onText  Learns a text, and
   *   writes with it.
   */
  constructor(region, most, onText) {
    this.region = region;
    this.onText = onText;
    this.isBusy = false;
    this.canClose = false; // whether there is something to go back to
    const file = region.querySelector("#learn-file");
    const pasted = region.querySelector("#learn-text");
    const learnFiles = (files) => files.length && this.#learn(() => readFiles(files, most));
    region.querySelector("#learn-choose").addEventListener("click", () => file.click());
    region.querySelector("#learn-close").addEventListener("click", () => this.close());
    region.querySelector("#learn-pasted").addEventListener("click", () =>
      this.#learn(() => readPastedText(pasted.value, most)));
    file.addEventListener("change", () => {
      learnFiles([...file.files]);
      file.value = ""; // so that the same file can be chosen again
    });
    document.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return; // a dragged text is moved as ever
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
    });
    document.addEventListener("drop", (event) => {
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      learnFiles([...event.dataTransfer.files]);
    });
  }

  open() {
    this.region.querySelector("#learn-close").hidden = !this.canClose;
    document.documentElement.classList.add("learning");
    // the browser refuses a focus while it opens the page
    if (this.canClose) this.region.querySelector("#learn-text").focus();
  }

  /** Show what is done next while a text is learnt. */
  showStep(step) {
    this.#show(`${translate(step)} …`, "");
  }

  close() {
    document.documentElement.classList.remove("learning");
    this.#show("", "");
    // a focus on the text would open the keyboard of a touch screen
    document.querySelector(isTouch() ? "#continue" : "#text").focus();
  }

  async #learn(read) {
    if (this.isBusy) return;
    this.isBusy = true;
    this.open();
    this.showStep("Reading the text");
    this.region.classList.add("busy");
    try {
      await this.onText(await read());
      this.region.querySelector("#learn-text").value = "";
      this.canClose = true;
      this.close();
    } catch (error) {
      this.#show("", translate(error.message));
    }
    this.region.classList.remove("busy");
    this.isBusy = false;
  }

  #show(step, error) {
    this.region.querySelector("#learn-step").textContent = step;
    this.region.querySelector("#learn-error").textContent = error;
  }
}

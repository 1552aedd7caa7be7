/** The card on which the reader gives a text: a file, dropped or chosen, or a pasted text. */

import { listEncodings } from "./encodings.js";
import { readPastedText, readTextFile } from "./text-file.js";

const LINES = 3; // of a text, which show whether its encoding is right

export class LearningCard {
  /**
   * @param {HTMLElement} region
   * @param {number} most  The most characters that are learnt.
   * @param {(given: {name: string, text: string}, report: (step: string) => void)
   *   => Promise<void>} onText  Learns a text, and writes with it.
   */
  constructor(region, most, onText) {
    this.region = region;
    this.onText = onText;
    this.isBusy = false;
    this.canClose = false; // whether there is something to go back to
    const file = region.querySelector("#learn-file");
    const pasted = region.querySelector("#learn-text");
    const learnFiles = ([given, ...others]) => given && this.#learn(() => {
      if (others.length) throw new Error("Only one file at a time: join the files into one first.");
      return readTextFile(given, most, (...asked) => this.#askEncoding(...asked));
    });
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
    if (this.canClose) this.region.querySelector("#learn-choose").focus();
  }

  close() {
    document.documentElement.classList.remove("learning");
    this.#show("", "");
    // a focus on the text would open the keyboard of a touch screen
    const isTouch = matchMedia("(pointer: coarse)").matches;
    document.querySelector(isTouch ? "#continue" : "#text").focus();
  }

  async #learn(read) {
    if (this.isBusy) return;
    this.isBusy = true;
    this.open();
    this.#show("Reading the text …", "");
    this.region.classList.add("busy");
    try {
      await this.onText(await read(), (step) => this.#show(`${step} …`, ""));
      this.region.querySelector("#learn-text").value = "";
      this.canClose = true;
      this.close();
    } catch (error) {
      this.#show("", error.message);
    }
    this.region.classList.remove("busy");
    this.isBusy = false;
  }

  /** Return the text of bytes in the encoding that the reader finds right. */
  async #askEncoding(name, bytes, likely) {
    const find = (id) => this.region.querySelector(`#learn-${id}`);
    const menu = find("encodings");
    menu.replaceChildren(...listEncodings().map(([encoding, languages]) =>
      new Option(`${languages} (${encoding})`, encoding)));
    menu.value = likely;
    const decode = () => new TextDecoder(menu.value).decode(bytes);
    const show = () => {
      find("encoding").querySelector("pre").textContent = selectTelling(decode()).join("\n");
    };
    show();
    menu.oninput = show;
    find("question").textContent = `${name} is not in UTF-8. Are these lines right?`;
    this.#show("", "");
    this.region.classList.add("asking");
    find("encoding").hidden = false;
    find("right").focus();
    const isRight = await new Promise((resolve) => {
      find("right").onclick = () => resolve(true);
      find("wrong").onclick = () => resolve(false);
    });
    this.region.classList.remove("asking");
    find("encoding").hidden = true;
    if (isRight) return decode();
    throw new Error(`${name} was not read. Save it as plain text in UTF-8, then choose it again.`);
  }

  #show(step, error) {
    this.region.querySelector("#learn-step").textContent = step;
    this.region.querySelector("#learn-error").textContent = error;
  }
}

/** Return the lines with most characters beyond ASCII, which differ between encodings. */
function selectTelling(text) {
  const lines = text.split(/\r?\n|\r/).slice(0, 1000).map((line) => line.slice(0, 200));
  const count = (line) => line.match(/[^\0-\x7f]/gu)?.length ?? 0;
  return lines.toSorted((a, b) => count(b) - count(a)).slice(0, LINES);
}

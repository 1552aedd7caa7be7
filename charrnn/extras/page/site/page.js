/** The page: connects the editor, the continuations, the list and the settings with a writer. */

import { Alternatives } from "./alternatives.js";
import { Annotations } from "./annotations.js";
import { WordMenu } from "./word-menu.js";
import { Draft, getTitle } from "./draft.js";
import { Editor, isTouch } from "./editor.js";
import { Generation } from "./generation.js";
import { translate } from "./language.js";
import { describeLength } from "./length-count.js";
import { List } from "./list.js";
import { saveFile } from "./save-file.js";
import { Settings } from "./settings.js";
import { Shelf } from "./shelf.js";
import { Drafts, unpackDraft } from "./storage.js";

const SUGGEST_DELAY = 200; // milliseconds after a change
const UPDATE_DELAY = 500; // milliseconds after a change until the draft is stored and annotated

const IS_MAC = /Mac|iP(hone|ad)/.test(navigator.platform);
const find = (selector) => document.querySelector(selector);

export class Page {
  /** @param {import("./writer.js").Writer} writer  Has a model. */
  constructor(writer) {
    this.writer = writer;
    this.drafts = new Drafts();
    this.draft = new Draft();
    this.editor = new Editor(find("#sheet"), this.draft);
    this.settings = new Settings(document);
    this.alternatives = new Alternatives(find("#alternatives"), (text) => this.take(text));
    this.generation = new Generation(writer, this);
    this.annotations = new Annotations(writer, this);
    this.wordMenu = new WordMenu(find("#word-menu"), writer, this);
    this.list = new List(find("#list"), writer, this);
    this.updateTimer = 0;
    this.suggestTimer = 0;
    this.isUnsaved = false; // whether the draft has changed since it was stored
    new Shelf(find("#shelf"), this);
    this.#listen();
  }

  /**
   * Write with the writer's present model, and open its drafts and lists.
   *
   * @param {string} keep  The part of the keys of its drafts and lists.
   */
  async openModel(keep) {
    this.store();
    this.list.stop();
    this.dismiss();
    document.documentElement.dataset.keep = keep;
    this.settings.setModel(this.writer.model);
    this.drafts.reopen();
    this.reopenDraft();
    this.list.reopen();
    this.say("");
    await this.#reportFailure(this.annotations.reset());
    this.suggest();
  }

  /** Show the draft that is open in its collection. */
  reopenDraft() {
    const { text, caret } = unpackDraft(this.drafts.load());
    this.generation.dismiss();
    this.editor.reset(text, caret);
    clearTimeout(this.updateTimer);
    this.isUnsaved = false;
    this.showState();
    this.#showCount();
  }

  /** The active mode: the list, or the generation of continuations. */
  get mode() {
    return this.settings.isList ? this.list : this.generation;
  }

  /** The text of the active mode, to save or copy it. */
  get shownText() {
    return this.settings.isList ? this.list.text : this.draft.text;
  }

  #listen() {
    this.draft.onChange(() => this.#followChange());
    const { textarea } = this.editor;
    textarea.addEventListener("click", (event) => {
      const place = this.settings.opensMenu ? this.editor.findCharacter(event) : null;
      if (place !== null) this.#openWordMenu(place);
    });
    document.addEventListener("keydown", (event) => this.#handleKey(event));
    document.addEventListener("visibilitychange", () => this.store());
    window.addEventListener("pagehide", () => this.store());
    window.addEventListener("beforeunload", (event) => this.store() || event.preventDefault());
    this.drafts.onStoredElsewhere(() => this.isUnsaved || this.reopenDraft());
    this.drafts.onOpenElsewhere(() => this.#continueInCopy());

    const onClick = (selector, act) => find(selector).addEventListener("click", act);
    onClick("#continue", (event) => {
      if (event.detail > 1) return; // the second click of a double click would stop the first
      if (this.mode.isBusy) this.mode.stop();
      else this.mode.start();
    });
    onClick("#begin", () => this.generation.start());
    find("#lists").addEventListener("input", () => this.#switchMode());
    onClick("#close", () => this.dismiss());
    for (const command of ["undo", "redo"]) {
      onClick(`#${command}`, () => this.editor.undoOrRedo(command));
    }
    onClick("#copy", () => this.#copy(this.shownText));
    onClick("#save", () => saveFile(`${getTitle(this.shownText)}.txt`, this.shownText));
    onClick("#list-empty-it", () => this.list.clear());
    find("#shelf").addEventListener("click", ({ target }) =>
      target.closest("button") && find("#shelf").hidePopover());
    find("#show-surprise").addEventListener("input", () =>
      this.#reportFailure(this.annotations.reset()));
    find("footer").addEventListener("input", ({ target }) => // other options change only the view
      target.closest(".changes-text") && this.suggest());
    if (!IS_MAC) return;
    for (const key of document.querySelectorAll(".ctrl")) key.textContent = "⌘";
    for (const key of document.querySelectorAll(".alt")) key.textContent = "⌥";
  }

  /** Store and annotate the draft, and write on, some time after its last change. */
  #followChange() {
    this.isUnsaved = true;
    this.showState();
    clearTimeout(this.updateTimer);
    this.updateTimer = setTimeout(() => this.#update(), UPDATE_DELAY);
    clearTimeout(this.suggestTimer);
    this.suggestTimer = setTimeout(() => this.suggest(), SUGGEST_DELAY);
  }

  /** Write continuations unasked, if the option is on. */
  suggest() {
    clearTimeout(this.suggestTimer);
    if (this.settings.suggests) this.generation.start({ isSuggestion: true });
  }

  /** Switch between the draft and the list. */
  #switchMode() {
    this.list.stop();
    this.dismiss();
    this.say("");
    this.suggest();
  }

  #handleKey(event) {
    if (event.isComposing || find("html.learning")) return;
    const act = this.#findShortcut(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** Return the action of a key, or null. */
  #findShortcut(event) {
    const { alternatives, editor, mode } = this;
    const mod = IS_MAC ? event.metaKey : event.ctrlKey;
    if (mod && event.key === "Enter") return () => mode.start();
    if (event.key === "Escape" && !find(":popover-open")) {
      if (mode.isBusy && !this.settings.suggests) return () => mode.stop();
      return alternatives.isOpen ? () => this.dismiss() : null;
    }
    if (mode === this.list) return null;
    const digit = event.altKey && !mod && event.code.match(/^Digit([1-9])$/);
    if (digit && alternatives.texts[digit[1] - 1]) return () => alternatives.take(Number(digit[1]));
    const isMenu = mod && !event.altKey && event.key === ".";
    return isMenu ? () => this.#openWordMenu(editor.caret - 1, true) : null;
  }

  take(text) {
    this.generation.take(text);
    this.say(translate("Added to your text. Undo removes it."));
  }

  #openWordMenu(place, byKey = false) {
    return this.#reportFailure(this.wordMenu.open(place, byKey));
  }

  /** Wait for a promise, and show its error. */
  async #reportFailure(promise) {
    await promise.catch((error) => this.fail(error));
  }

  dismiss() {
    clearTimeout(this.suggestTimer);
    const hadFocus = find("#alternatives").contains(document.activeElement);
    this.generation.dismiss();
    if (hadFocus) this.focusText();
  }

  /** Focus the text. On a touch screen focus a button, which does not open the keyboard. */
  focusText() {
    (isTouch() ? find("#continue") : this.editor.textarea).focus({ preventScroll: true });
  }

  /** Copy a text from a field, since there is no clipboard without https. */
  #copy(text) {
    const field = document.body.appendChild(document.createElement("textarea"));
    field.value = text;
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    if (isCopied) this.say(translate("Copied to the clipboard."));
    else this.fail(new Error("This browser does not allow it: copy the text by hand."));
  }

  /** Store and annotate the draft. */
  async #update() {
    this.store();
    this.#showCount();
    await this.#reportFailure(this.annotations.update());
  }

  /**
   * Store the draft if it has changed.
   *
   * @returns {boolean} Whether the draft is stored.
   */
  store() {
    if (!this.isUnsaved) return true;
    const { drafts, draft: { text }, editor: { caret } } = this;
    const result = drafts.store({ text, caret });
    if (result === "changed") return this.#continueInCopy();
    this.isUnsaved = result === "full";
    this.warn(this.isUnsaved ? "This browser cannot store the draft: save it as a file." : "");
    return !this.isUnsaved;
  }

  /** Write into a copy of the draft, because another window has it open. */
  #continueInCopy() {
    this.drafts.create();
    this.isUnsaved = true;
    const isStored = this.store();
    if (isStored) this.warn("The draft is open in another window. This is a copy of it.");
    return isStored;
  }

  showState() {
    const { generation, draft, alternatives, list } = this;
    find("#empty").hidden = draft.text !== "";
    for (const id of ["#copy", "#save"]) find(id).disabled = !this.shownText;
    find("#list-empty-it").disabled = !list.text;
    const { classList } = document.documentElement;
    classList.toggle("writing", this.mode.isBusy);
    classList.toggle("choosing", alternatives.isOpen && !generation.isBusy);
  }

  #showCount() {
    const { text } = this.draft;
    find("#count").textContent = text && describeLength(text);
  }

  /** @param {{quietly?: boolean}} [options]  Quietly: screen readers do not announce it. */
  say(message, { quietly = false } = {}) {
    find("#status").ariaLive = quietly ? "off" : "polite";
    find("#status").textContent = message;
    find("#error").hidden = true;
  }

  /** Show what is wrong with the storage until the next change is stored; "" for nothing. */
  warn(message) {
    find("#storage").textContent = translate(message);
  }

  fail(error) {
    find("#status").textContent = "";
    find("#error").hidden = false;
    find("#error").textContent = translate(error.message);
  }
}

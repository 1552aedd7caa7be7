/** The page: connects the editor, the continuations, the list and the settings with a writer. */

import { Alternatives } from "./alternatives.js";
import { Annotations } from "./annotations.js";
import { CharacterMenu, formatPercent, nameText, NAMES } from "./character-menu.js";
import { Draft, Passage } from "./draft.js";
import { Editor } from "./editor.js";
import { saveFile } from "./files.js";
import { Generation } from "./generation.js";
import { describeLength } from "./length-count.js";
import { List } from "./list.js";
import { Past } from "./past.js";
import { Settings } from "./settings.js";
import { Shelf } from "./shelf.js";
import { Collection, packDraft, unpackDraft } from "./storage.js";

const SUGGEST_DELAY = 200; // milliseconds after a change
const UPDATE_DELAY = 500; // milliseconds after a change until the draft is stored and annotated
const MAX_UNKNOWN = 3; // unknown characters that are named under the text

const IS_MAC = /Mac|iP(hone|ad)/.test(navigator.platform);
const find = (selector) => document.querySelector(selector);
const isField = (element) => element.matches("input:is([type=text], [type=number]), #read-first");

/**
 * Open the page, and return it.
 *
 * @param {import("./writer.js").Writer} writer
 */
export async function openPage(writer) {
  const page = new Page(writer);
  page.reopenDraft();
  page.list.reopen();
  page.listen();
  await page.start();
  return page;
}

class Page {
  /** @param {import("./writer.js").Writer} writer  Its parts are replaced by `changeWriter`. */
  constructor(writer) {
    this.writer = writer;
    this.drafts = new Collection("draft");
    this.draft = new Draft();
    this.editor = new Editor(find("#sheet"), this.draft);
    this.settings = new Settings(document);
    this.alternatives = new Alternatives(find("#alternatives"), (passage) => this.take(passage),
      (word, rest) => this.takeWord(word, rest));
    this.generation = new Generation(writer, this);
    this.annotations = new Annotations(writer, this);
    this.characterMenu = new CharacterMenu(find("#character-menu"), writer, this);
    this.list = new List(find("#list"), writer, this);
    this.past = new Past(find("#past"), this);
    this.shelf = new Shelf(find("#shelf"), this);
    this.updateTimer = 0;
    this.suggestTimer = 0;
    this.countsSelection = false; // whether the length of the selection is shown
    this.isUnsaved = false; // whether the draft has changed since it was stored
  }

  /** Ask the writer for its models, and write. */
  async start() {
    this.describeModel();
    await this.connect();
    this.suggest();
  }

  /**
   * Write with another writer, and open its drafts and lists.
   *
   * @param {import("./writer.js").Writer} writer
   * @param {string} keep  The prefix of the stored drafts and lists.
   */
  async changeWriter(writer, keep) {
    this.store();
    this.list.stop();
    this.dismiss();
    document.documentElement.dataset.keep = keep;
    Object.assign(this.writer, writer);
    for (const collection of [this.drafts, this.list.collection]) collection.reopen();
    this.reopenDraft();
    this.list.reopen();
    await this.start();
  }

  /** Show the draft that is open in its collection. */
  reopenDraft() {
    const { passage, caret, readFirst } = unpackDraft(this.drafts.load());
    this.generation.dismiss();
    this.setReadFirst(readFirst);
    this.draft.reset(passage);
    this.isUnsaved = false;
    this.editor.select(Math.min(caret, passage.length));
    this.showState();
    this.showCount();
    this.past.addCopy(); // a session begins
  }

  /** The active mode: the list, or the generation of continuations. */
  get mode() {
    return this.settings.isList ? this.list : this.generation;
  }

  /** The collection of the active mode. */
  get collection() {
    return this.settings.isList ? this.list.collection : this.drafts;
  }

  listen() {
    this.draft.onChange(() => this.followChange());
    find("#read-first").addEventListener("input", ({ target }) => {
      this.draft.readFirst = target.value;
      this.followChange();
    });
    const textarea = this.editor.textarea;
    textarea.addEventListener("beforeinput", (event) => {
      if (!event.inputType.startsWith("history")) return;
      event.preventDefault(); // the browser's history of the text area lacks the model's text
      this.undoOrRedo(event.inputType === "historyUndo" ? "undo" : "redo");
    });
    textarea.addEventListener("click", (event) => {
      const place = this.settings.opensCharacterMenu ? this.editor.findCharacter(event) : null;
      if (place !== null) this.openCharacterMenu(place);
    });
    document.addEventListener("selectionchange", () => {
      this.showCharacter();
      // the count of a long draft takes too long for each key, so that it waits for `update`
      const { selectionStart, selectionEnd } = this.editor.textarea;
      if (this.countsSelection || selectionStart < selectionEnd) this.showCount();
    });
    document.addEventListener("keydown", (event) => this.handleKey(event));
    document.addEventListener("visibilitychange", () => this.store());
    window.addEventListener("pagehide", () => this.store());
    window.addEventListener("resize", () => this.editor.showMarker(this.generation.anchor));
    this.drafts.onStoredElsewhere(() => this.reloadDraft());

    const onClick = (selector, act) => find(selector).addEventListener("click", act);
    onClick("#continue", (event) => {
      if (event.detail > 1) return; // the second click of a double click would stop the first
      this.#openDials(false); // in a narrow window they would hide the continuations
      if (this.mode.isBusy) this.stop();
      else this.mode.start();
    });
    onClick("#begin", () => {
      this.focusText(); // because the button disappears
      this.generation.start();
    });
    find("#lists").addEventListener("input", () => this.switchMode());
    onClick("#close", () => this.closeAlternatives());
    onClick("#undo", () => this.undoOrRedo("undo"));
    onClick("#redo", () => this.undoOrRedo("redo"));
    onClick("#copy", () => this.copy(this.draft.text));
    onClick("#save", () => saveFile(`${this.drafts.name}.txt`, this.draft.text));
    onClick("#list-copy", () => this.copy(this.list.text));
    onClick("#list-save", () => this.list.saveText());
    onClick("#list-csv", () => this.list.saveCsv());
    onClick("#list-new", () => this.list.clear());
    find("#list-menu").addEventListener("toggle", () => this.showState());
    for (const menu of document.querySelectorAll(".menu")) {
      menu.addEventListener("click", ({ target }) => {
        if (target.closest("button")) menu.hidePopover();
      });
    }
    onClick("#retry", () => this.connect());
    find("#model").addEventListener("input", () => {
      const { mode } = this;
      this.generation.dismiss(); // the continuations are of another model
      this.say("");
      this.settings.setModelDefaults();
      if (this.mode !== mode) this.switchMode();
      this.resetAnnotations();
    });
    find("#show-typed").addEventListener("input", () => this.resetAnnotations());
    find("footer").addEventListener("input", ({ target }) => // other options change only the view
      target.closest(".dial, #suggest-choice") && this.suggest());
    onClick("#dials-toggle", () => this.#openDials(!find("#dials").matches(".open")));
    find("#token-dialog form").addEventListener("submit", () => {
      this.writer.useToken(find("#token").value.trim());
      this.connect();
    });
    if (!IS_MAC) return;
    for (const key of document.querySelectorAll(".ctrl")) key.textContent = "⌘";
    for (const key of document.querySelectorAll(".alt, .by-word")) key.textContent = "⌥";
  }

  /** Show or hide the dials, for which a narrow window has a button. */
  #openDials(isOpen) {
    find("#dials").classList.toggle("open", isOpen);
    find("#dials-toggle").ariaExpanded = String(isOpen);
  }

  /** Store and annotate the draft, and write on, some time after its last change. */
  followChange() {
    this.isUnsaved = true;
    this.showState();
    clearTimeout(this.updateTimer);
    this.updateTimer = setTimeout(() => this.update(), UPDATE_DELAY);
    clearTimeout(this.suggestTimer);
    this.suggestTimer = setTimeout(() => this.suggest(), SUGGEST_DELAY);
  }

  /** Let the model read a text before the draft. */
  setReadFirst(text) {
    this.draft.readFirst = text;
    find("#read-first").value = text;
  }

  /** Ask the writer for its models and their defaults. */
  async connect() {
    const { settings, writer } = this;
    try {
      const models = await writer.fetchModels();
      for (const id of ["#how", "#begin"]) find(id).hidden = !models.length;
      settings.setModels(models);
      this.shelf.show(); // because the mode may have changed
      settings.setSamplingDefaults(writer.sampling);
      settings.setLimits(writer.limits);
      this.say("");
      if (models.length) await this.resetAnnotations();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Annotate the draft by the chosen model. */
  async resetAnnotations() {
    await this.annotations.reset().catch((error) => this.fail(error));
    this.showCharacter();
    this.showUnknown();
  }

  /** Describe the model if the page has only one. */
  describeModel() {
    const { about, isFast } = this.writer;
    if (isFast) this.settings.showSuggestOption();
    if (!about) return;
    document.title = about.title;
    for (const title of [find("h1"), find("#card h2")]) title.textContent = about.title;
    find("#model").hidden = true;
    find("#about").hidden = false;
    find("#licence").textContent = about.licence;
    find("#card dl").replaceChildren();
    for (const row of about.card) {
      const [name, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
      [name.textContent, value.textContent] = row;
      find("#card dl").append(name, value);
    }
  }

  /** Write continuations unasked, if the writer is fast and the option is on. */
  suggest() {
    const { generation, alternatives, settings } = this;
    clearTimeout(this.suggestTimer);
    if (!settings.suggests || (generation.isBusy && !alternatives.isOpen)) return;
    generation.start({ isSuggestion: true });
  }

  /** Switch between the draft and the list. */
  switchMode() {
    this.list.stop();
    this.dismiss();
    this.shelf.show();
    this.say("");
    this.suggest();
  }

  handleKey(event) {
    if (event.isComposing || find("dialog[open], html.learning")) return;
    const act = this.findShortcut(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** Return the action of a key, or null. */
  findShortcut(event) {
    const { alternatives, generation, editor, mode } = this;
    const mod = IS_MAC ? event.metaKey : event.ctrlKey;
    if (mod && event.key === "Enter") return () => mode.start();
    if (event.key === "Escape" && !find(":popover-open")) {
      if (mode.isBusy) return () => this.stop();
      return alternatives.isOpen ? () => this.closeAlternatives() : null;
    }
    if (mode === this.list) return null;
    if (event.key === "ArrowRight" && (IS_MAC ? event.altKey : event.ctrlKey) && !event.shiftKey) {
      const isAtAnchor = event.target === editor.textarea && editor.caret === generation.anchor;
      const number = !alternatives.isStale && (alternatives.focusedNumber || Number(isAtAnchor));
      return alternatives.isOpen && number ? () => alternatives.takeWord(number) : null;
    }
    const digit = event.altKey && !mod && event.code.match(/^Digit([1-9])$/);
    const isOffered = alternatives.isOpen && digit && alternatives.cards[digit[1] - 1];
    if (isOffered) return () => alternatives.take(Number(digit[1]));
    if (!mod || event.altKey || isField(event.target)) return null; // it has its undo
    if (event.key === ".") return () => this.openCharacterMenu(editor.caret - 1, { byKey: true });
    const key = event.key.toLowerCase();
    if (key === "z") return () => this.undoOrRedo(event.shiftKey ? "redo" : "undo");
    return key === "y" && !IS_MAC ? () => this.undoOrRedo("redo") : null;
  }

  take(passage) {
    this.generation.take(passage);
    this.focusText();
    this.say("Added to your text. Undo removes it.");
  }

  takeWord(word, rest) {
    const hadFocus = this.alternatives.focusedNumber > 0;
    this.generation.takeWord(word, rest);
    if (!rest.length && hadFocus) this.focusText();
    if (rest.length) clearTimeout(this.suggestTimer);
  }

  /** Offer past continuations at the caret. */
  offer(passages) {
    clearTimeout(this.suggestTimer);
    this.generation.offerPast(passages);
    this.focusText();
  }

  /** Replace the draft by a copy. */
  restore(passage) {
    const { past, draft, editor } = this;
    past.addCopy();
    draft.replace(0, draft.text.length, passage);
    editor.select(passage.length);
    this.focusText();
    this.say("The draft is again as it was. Undo takes this back.");
  }

  async openCharacterMenu(place, { byKey = false } = {}) {
    await this.reportFailure(this.characterMenu.open(place, byKey));
  }

  /** Wait for a promise, and show its error. */
  async reportFailure(promise) {
    await promise.catch((error) => this.fail(error));
  }

  /** Replace a word or character, and the model's text after it, and continue after the choice. */
  branch(place, end, { text, logprob }) {
    const { draft, generation } = this;
    if (generation.anchor !== null) generation.dismiss();
    while (end < draft.text.length && !isNaN(draft.passage.bits[end])) end++;
    const step = {};
    const characters = [...text]; // of which only the product of the probabilities is known
    draft.replace(place, end, Passage.fromCharacters(characters.map((character) =>
      ({ text: character, logprob: logprob / characters.length }))), step);
    clearTimeout(this.suggestTimer);
    this.editor.select(place + text.length);
    this.focusText();
    generation.start({ step });
  }

  stop() {
    clearTimeout(this.suggestTimer);
    this.mode.stop();
  }

  /** Close the continuations, which the reader may want later. */
  closeAlternatives() {
    this.generation.keepOffered();
    this.dismiss();
  }

  dismiss() {
    clearTimeout(this.suggestTimer);
    const hadFocus = find("#alternatives").contains(document.activeElement);
    this.generation.dismiss();
    if (hadFocus) this.focusText();
  }

  /** Focus the text. On a touch screen focus a button, which does not open the keyboard. */
  focusText() {
    const { textarea } = this.editor;
    const isTouch = matchMedia("(pointer: coarse)").matches && document.activeElement !== textarea;
    (isTouch ? find("#continue") : textarea).focus({ preventScroll: true });
  }

  /** @param {"undo" | "redo"} direction */
  undoOrRedo(direction) {
    if (this.generation.isBusy && !this.alternatives.isOpen) this.generation.dismiss();
    const { step, place } = this.draft[direction]();
    this.say(step ? "" : `Nothing to ${direction}.`);
    if (!step) return;
    this.editor.select(place);
    if (this.generation.restoreChoice(direction, step)) clearTimeout(this.suggestTimer);
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.say("Copied to the clipboard.");
    } catch {
      this.fail(new Error("This browser does not allow it: copy the text by hand."));
    }
  }

  /** Store and annotate the draft. */
  async update() {
    this.store();
    this.showCount();
    await this.annotations.update().catch((error) => this.fail(error));
    this.showCharacter();
    this.showUnknown();
  }

  /**
   * Store the draft if it has changed; otherwise it could overwrite another window's draft.
   *
   * @returns {boolean} Whether the draft is stored.
   */
  store() {
    const { drafts, draft: { passage, readFirst }, editor: { caret } } = this;
    if (this.isUnsaved) this.isUnsaved = !drafts.store(packDraft(passage, { caret, readFirst }));
    if (this.isUnsaved) {
      this.fail(new Error("This browser cannot store the draft: save it as a file."));
    }
    return !this.isUnsaved;
  }

  /** Show the draft that another window stored, if this window is hidden. */
  reloadDraft() {
    const { passage, readFirst } = unpackDraft(this.drafts.load());
    if (!document.hidden) return;
    this.setReadFirst(readFirst);
    if (passage.text === this.draft.text) return;
    this.draft.replace(0, this.draft.text.length, passage);
    this.isUnsaved = false; // the other window has stored it
  }

  showState() {
    const { generation, draft, alternatives, list } = this;
    const isEmpty = draft.text === "";
    find("#empty").hidden = !isEmpty || (generation.isBusy && !alternatives.isOpen);
    find("#undo").disabled = draft.undoStack.length === 0;
    find("#redo").disabled = draft.redoStack.length === 0;
    for (const id of ["#copy", "#save"]) find(id).disabled = isEmpty;
    const { entries, note } = list.selectToSave();
    find("#list-note").textContent = note;
    for (const id of ["#list-copy", "#list-save", "#list-csv"]) find(id).disabled = !entries.length;
    find("#list-new").disabled = !list.entries.length;
    document.documentElement.classList.toggle("writing", this.mode.isBusy);
    document.documentElement.classList.toggle("choosing", alternatives.isOpen);
    this.showCharacter();
  }

  /** Show the probability of the character before the caret, if it is known. */
  showCharacter() {
    const { text } = this.draft;
    const place = this.editor.caret - 1;
    const units = text.slice(Math.max(0, place - 1), place + 1); // an emoji has two
    const last = [...units].at(-1) ?? "";
    const probability = 2 ** -this.draft.getMarks(place, place + 1).bits[0];
    const message = `${nameText(last)} was ${formatPercent(probability)} likely`;
    find("#character").textContent = isNaN(probability) ? "" : message;
  }

  /** Show the length of the selection or, without one, of the draft. */
  showCount() {
    const { selectionStart, selectionEnd } = this.editor.textarea;
    const { text } = this.draft;
    const selected = text.slice(selectionStart, selectionEnd);
    this.countsSelection = selected !== "";
    const count = describeLength(selected || text);
    find("#count").textContent = selected ? `selected: ${count}` : text && count;
  }

  /** Show the unknown characters of the draft, and what the model reads for them. */
  showUnknown() {
    const notes = this.annotations.listUnknown().map(([character, replacement]) => {
      const name = NAMES[character] ?? character; // without quotes, since it may be a quote
      if (replacement === null) return `${name} is unknown to the model, which refuses it`;
      if (replacement === "") return `${name} is left out`;
      return `${name} is read as ${NAMES[replacement] ?? replacement}`;
    });
    const more = notes.length > MAX_UNKNOWN ? ` and ${notes.length - MAX_UNKNOWN} more` : "";
    find("#unknown").textContent = notes.slice(0, MAX_UNKNOWN).join(", ") + more;
    find("#unknown").title = notes.join("\n");
  }

  /** @param {{quietly?: boolean}} [options]  Quietly: screen readers do not announce it. */
  say(message, { quietly = false } = {}) {
    find("#status").ariaLive = quietly ? "off" : "polite";
    find("#status").textContent = message;
    find("#error").hidden = true;
  }

  fail(error) {
    if (error.isQuiet) return;
    find("#status").textContent = "";
    find("#error").hidden = false;
    find("#retry").hidden = Boolean(this.settings.chosenModel); // a failed connection has no models
    find("#error-text").textContent = error.message;
    if (!error.needsToken || find("dialog[open]")) return;
    find("#token-error").hidden = find("#token").value === "";
    find("#token-dialog").showModal();
  }
}

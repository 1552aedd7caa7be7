/** The page: joins the editor, the continuations and the settings with a writer. */

import { Alternatives } from "./alternatives.js";
import { Continuing } from "./continuing.js";
import { Draft, Passage } from "./draft.js";
import { Editor } from "./editor.js";
import { draftAsJson, openDraft, saveFile } from "./files.js";
import { Findings } from "./findings.js";
import { keepDraft, keptDraft, onDraftElsewhere } from "./keeping.js";
import { List } from "./list.js";
import { named, NAMES, Others, percent } from "./others.js";
import { Settings } from "./settings.js";

const ALONG = 200; // milliseconds without a change after which is written along
const TOLD = 3; // unknown characters, at most
const SETTLED = 500; // milliseconds without a change after which the draft is kept and looked at

const IS_MAC = /Mac|iP(hone|ad)/.test(navigator.platform);
const find = (selector) => document.querySelector(selector);

/** @param {import("./writer.js").Writer} writer */
export async function openPage(writer) {
  const page = new Page(writer);
  page.restore();
  page.listen();
  page.tellAbout();
  await page.connect();
  page.writeAlong();
}

class Page {
  constructor(writer) {
    this.writer = writer;
    this.draft = new Draft();
    this.editor = new Editor(find("#sheet"), this.draft);
    this.settings = new Settings(document);
    this.alternatives = new Alternatives(find("#alternatives"), (passage) => this.take(passage),
      (word, rest) => this.takeWord(word, rest));
    this.continuing = new Continuing(writer, this);
    this.findings = new Findings(writer, this);
    this.others = new Others(find("#others"), writer, this);
    this.list = new List(find("#list"), writer, this);
    this.settling = 0;
    this.along = 0;
    this.changed = false; // since the draft was kept
  }

  /** Begin with the draft that this browser kept. */
  restore() {
    const { passage, caret } = keptDraft() ?? { passage: new Passage(""), caret: 0 };
    this.draft.replace(0, 0, passage);
    this.draft.done = [];
    this.editor.select(Math.min(caret, passage.length));
    this.list.show();
    this.showState();
  }

  /** What writes: the list, or the text's continuations. */
  get mode() {
    return this.settings.lists ? this.list : this.continuing;
  }

  listen() {
    this.draft.onChange(() => {
      this.changed = true;
      this.showState();
      clearTimeout(this.settling);
      this.settling = setTimeout(() => this.settle(), SETTLED);
      clearTimeout(this.along);
      this.along = setTimeout(() => this.writeAlong(), ALONG);
    });
    const textarea = this.editor.textarea;
    textarea.addEventListener("beforeinput", (event) => {
      if (!event.inputType.startsWith("history")) return;
      event.preventDefault(); // the text area's own history does not know what was written
      this.travel(event.inputType === "historyUndo" ? "undo" : "redo");
    });
    textarea.addEventListener("click", (event) => {
      const place = this.settings.showsOthers ? this.editor.characterUnder(event) : null;
      if (place !== null) this.showOthers(place);
    });
    document.addEventListener("selectionchange", () => this.showCharacter());
    document.addEventListener("keydown", (event) => this.press(event));
    document.addEventListener("visibilitychange", () => this.keep());
    window.addEventListener("pagehide", () => this.keep());
    window.addEventListener("resize", () => this.editor.mark(this.continuing.anchor));
    onDraftElsewhere(() => this.adopt());

    const onClick = (selector, act) => find(selector).addEventListener("click", act);
    onClick("#continue", (event) => {
      if (event.detail > 1) return; // the second click of a double click would stop the first
      if (this.mode.busy) this.stop();
      else this.mode.start();
    });
    onClick("#begin", () => {
      this.focusText(); // the button goes
      this.continuing.start();
    });
    find("#lists").addEventListener("input", () => this.switchMode());
    onClick("#close", () => this.dismiss());
    onClick("#undo", () => this.travel("undo"));
    onClick("#redo", () => this.travel("redo"));
    onClick("#new", () => this.startNew());
    onClick("#copy", () => this.copy(this.draft.text));
    onClick("#save", () => saveFile("draft.txt", this.draft.text));
    onClick("#save-json", () =>
      saveFile("draft.json", draftAsJson(this.draft.passage), "application/json"));
    onClick("#open", () => find("#file").click());
    find("#file").addEventListener("change", ({ target }) => this.open(target));
    onClick("#list-copy", () => this.copy(this.list.text));
    onClick("#list-save", () => this.list.save());
    onClick("#list-csv", () => this.list.saveCsv());
    onClick("#list-new", () => this.list.clear());
    find("#list-menu").addEventListener("toggle", () => this.showState());
    for (const menu of document.querySelectorAll(".menu")) {
      menu.addEventListener("click", ({ target }) => {
        if (target.closest("button")) menu.hidePopover();
      });
    }
    onClick("#retry", () => this.connect());
    find("#model").addEventListener("input", () => this.lookAnew());
    find("#show-typed").addEventListener("input", () => this.lookAnew());
    find("footer").addEventListener("input", ({ target }) => // other options only show
      target.closest(".dial, #along-choice") && this.writeAlong());
    onClick("#dials-toggle", (event) => {
      const open = find("#dials").classList.toggle("open");
      event.currentTarget.setAttribute("aria-expanded", String(open));
    });
    find("#token-dialog form").addEventListener("submit", () => {
      this.writer.useToken(find("#token").value);
      this.connect();
    });
    if (!IS_MAC) return;
    for (const key of document.querySelectorAll(".ctrl")) key.textContent = "⌘";
    for (const key of document.querySelectorAll(".alt, .by-word")) key.textContent = "⌥";
  }

  /** Ask the writer what it has. */
  async connect() {
    try {
      this.settings.offer(await this.writer.models());
      this.settings.useDefaults(this.writer.sampling);
      this.settings.suggest("lists", this.writer.lists.includes(this.settings.chosenModel));
      this.say("");
      await this.lookAnew();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Find out about the draft, by the chosen model. */
  async lookAnew() {
    try {
      await this.findings.begin();
    } catch (error) {
      this.fail(error);
    }
    this.showCharacter();
    this.showUnknown();
  }

  /** Say whose page this is, where it has one model only. */
  tellAbout() {
    const { about, instant } = this.writer;
    if (instant) this.settings.offerAlong();
    if (!about) return;
    this.settings.suggest("even", about.even);
    for (const title of [find("h1"), find("#card h2")]) title.textContent = about.title;
    find("#model").hidden = true;
    find("#about").hidden = false;
    find("#licence").textContent = about.licence;
    for (const row of about.card) {
      const [name, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
      [name.textContent, value.textContent] = row;
      find("#card dl").append(name, value);
    }
  }

  /** Show how the text could go on, where the writer is quick enough and this is wanted. */
  writeAlong() {
    const { continuing, alternatives, settings } = this;
    clearTimeout(this.along);
    if (!settings.writesAlong || (continuing.busy && !alternatives.open)) return;
    continuing.start({ along: true });
  }

  /** A list instead of the text, or the text again. */
  switchMode() {
    this.list.stop();
    this.dismiss();
    this.say("");
    this.writeAlong();
  }

  press(event) {
    if (event.isComposing || find("dialog[open]")) return;
    const act = this.shortcut(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** What a key does, or null. */
  shortcut(event) {
    const { alternatives, continuing, editor, mode } = this;
    const mod = IS_MAC ? event.metaKey : event.ctrlKey;
    if (mod && event.key === "Enter") return () => mode.start();
    if (event.key === "Escape" && !find(":popover-open")) {
      if (mode.busy) return () => this.stop();
      return alternatives.open ? () => this.dismiss() : null;
    }
    if (mode === this.list) return null;
    if (event.key === "ArrowRight" && (IS_MAC ? event.altKey : event.ctrlKey) && !event.shiftKey) {
      const isBefore = event.target === editor.textarea && editor.caret === continuing.anchor;
      const number = !alternatives.stale && (alternatives.focused || Number(isBefore));
      return alternatives.open && number ? () => alternatives.takeWord(number) : null;
    }
    const digit = event.altKey && !mod && event.code.match(/^Digit([1-9])$/);
    const isOffered = alternatives.open && digit && alternatives.cards[digit[1] - 1];
    if (isOffered) return () => alternatives.take(Number(digit[1]));
    if (!mod || event.altKey || event.target.matches("#seed")) return null; // it undoes its own
    if (event.key === ".") return () => this.showOthers(editor.caret - 1, { byKey: true });
    const key = event.key.toLowerCase();
    if (key === "z") return () => this.travel(event.shiftKey ? "redo" : "undo");
    return key === "y" && !IS_MAC ? () => this.travel("redo") : null;
  }

  take(passage) {
    this.continuing.take(passage);
    this.focusText();
    this.say("Taken. Undo takes it back.");
  }

  takeWord(word, rest) {
    const held = this.alternatives.focused;
    this.continuing.takeWord(word, rest);
    if (!rest.length && held) this.focusText();
    if (rest.length) clearTimeout(this.along);
  }

  async showOthers(place, { byKey = false } = {}) {
    await this.others.open(place, byKey).catch((error) => this.fail(error));
  }

  /** Write another character in place of what the model wrote from there on, and go on from it. */
  branch(place, { text, logprob }) {
    const { draft, continuing } = this;
    if (continuing.anchor !== null) continuing.dismiss();
    let end = place + String.fromCodePoint(draft.text.codePointAt(place)).length;
    while (end < draft.text.length && !isNaN(draft.passage.bits[end])) end++;
    const step = {};
    draft.replace(place, end, Passage.written([{ text, logprob }]), step);
    clearTimeout(this.along);
    this.editor.select(place + text.length);
    this.focusText();
    continuing.start({ step });
  }

  stop() {
    clearTimeout(this.along);
    this.mode.stop();
  }

  dismiss() {
    clearTimeout(this.along);
    const held = find("#alternatives").contains(document.activeElement);
    this.continuing.dismiss();
    if (held) this.focusText();
  }

  /** Back to the text; where there is only a screen to touch, without calling up its keyboard. */
  focusText() {
    const { textarea } = this.editor;
    const touched = matchMedia("(pointer: coarse)").matches && document.activeElement !== textarea;
    (touched ? find("#continue") : textarea).focus({ preventScroll: true });
  }

  /** @param {"undo" | "redo"} direction */
  travel(direction) {
    if (this.continuing.busy && !this.alternatives.open) this.continuing.dismiss();
    const { step, place } = this.draft[direction]();
    this.say(step ? "" : `Nothing to ${direction}.`);
    if (!step) return;
    this.editor.select(place);
    if (this.continuing.travelled(direction, step)) clearTimeout(this.along);
  }

  startNew() {
    this.continuing.dismiss();
    this.draft.replace(0, this.draft.text.length, new Passage(""));
    this.focusText();
    this.say("A new draft. Undo brings the old one back.");
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.say("Copied to the clipboard.");
    } catch {
      this.fail(new Error("This browser did not allow it: select the text and copy it."));
    }
  }

  /** Go on with the draft in a file. */
  async open(field) {
    const [file] = field.files;
    field.value = ""; // so that the same file can be opened again
    try {
      const passage = await openDraft(file);
      this.continuing.dismiss();
      this.draft.replace(0, this.draft.text.length, passage);
      this.focusText();
      this.say("Opened. Undo brings the old draft back.");
    } catch (error) {
      this.fail(error);
    }
  }

  /** Some time after a change: keep the draft, and look for what is copied. */
  async settle() {
    if (!this.keep()) {
      this.fail(new Error("This browser does not keep the draft: save it as a file."));
    }
    await this.findings.look().catch((error) => this.fail(error));
    this.showCharacter();
    this.showUnknown();
  }

  /** Keep what changed, so that a window without changes does not undo what another one kept. */
  keep() {
    if (this.changed) this.changed = !keepDraft(this.draft.passage, this.editor.caret);
    return !this.changed;
  }

  /** Show the draft that another window kept, unless this one is being looked at. */
  adopt() {
    const kept = keptDraft();
    if (!document.hidden || !kept || kept.passage.text === this.draft.text) return;
    this.draft.replace(0, this.draft.text.length, kept.passage);
    this.changed = false; // the other window has kept it
  }

  showState() {
    const { continuing, draft, alternatives } = this;
    const empty = draft.text === "";
    find("#empty").hidden = !empty || (continuing.busy && !alternatives.open);
    find("#undo").disabled = draft.done.length === 0;
    find("#redo").disabled = draft.undone.length === 0;
    for (const id of ["#new", "#copy", "#save", "#save-json"]) find(id).disabled = empty;
    const { entries, told } = this.list.chosen();
    find("#list-which").textContent = told;
    for (const id of ["#list-copy", "#list-save", "#list-csv"]) find(id).disabled = !entries.length;
    find("#list-new").disabled = !this.list.entries.length;
    document.documentElement.classList.toggle("writing", this.mode.busy);
    document.documentElement.classList.toggle("choosing", alternatives.open);
    this.showCharacter();
  }

  /** How likely the character before the caret was, where that is known. */
  showCharacter() {
    const { text } = this.draft;
    const place = this.editor.caret - 1;
    const last = [...text.slice(Math.max(0, place - 1), place + 1)].at(-1); // or a whole emoji
    const share = 2 ** -this.draft.marks(place, place + 1).bits[0]; // NaN where nobody knows
    const character = isNaN(share) ? "" : `${named(last)} was ${percent(share)} likely`;
    find("#character").textContent = character;
  }

  /** What becomes of the characters that the model does not know. */
  showUnknown() {
    const told = this.findings.unknown().map(([character, instead]) => {
      const name = NAMES[character] ?? character; // without quotes, as it may be one
      if (instead === null) return `${name} is unknown to the model, which refuses it`;
      return `${name} is ${instead ? `read as ${NAMES[instead] ?? instead}` : "not read"}`;
    });
    const more = told.length > TOLD ? ` and ${told.length - TOLD} more` : "";
    find("#unknown").textContent = told.slice(0, TOLD).join(", ") + more;
    find("#unknown").title = told.join("\n");
  }

  /** @param {{quietly?: boolean}} [how]  Quietly: a screen reader does not read it out. */
  say(message, { quietly = false } = {}) {
    find("#status").ariaLive = quietly ? "off" : "polite";
    find("#status").textContent = message;
    find("#error").hidden = true;
  }

  fail(error) {
    find("#status").textContent = "";
    find("#error").hidden = false;
    find("#retry").hidden = Boolean(this.settings.chosenModel); // else nothing is known of it yet
    find("#error-text").textContent = error.message;
    if (error.wantsToken && !find("dialog[open]")) find("#token-dialog").showModal();
  }
}

/** The texts on the server: the card that takes one, the list of them, and the page's menu. */

import { saveFile } from "../files.js";
import { LearningCard } from "../learning-card.js";
import { prepareText, removeExtension } from "../text-file.js";
import { listenToIdentity, showIdentity } from "./identity.js";
import { TrainingItem } from "./item.js";
import { describeState } from "./sentences.js";

/** Milliseconds until the next look at the server, while a text is in a state. */
const INTERVALS = { training: 2000, waiting: 5000 };
const LATER = 15_000; // otherwise
const RETRY_AFTER = 2000; // milliseconds, if the server did not send the parts of the page
const REFUSED = [400, 404, 413, 415]; // statuses with which the server refuses a text for good
const SUFFIXES = { // of what one takes home
  "page.html": ".html", "model.safetensors": ".safetensors", "report.html": " report.html",
};
const ABOUT = `Choose a text file, or a document (.docx, .odt, .epub or .rtf), or drop it anywhere on
  this page. This browser counts its characters and words, and writes more like it at once.
  Meanwhile the server trains a network with it, which then takes over. `;
const SEEN_BY = "Only you and the teacher see the text, until you delete it.";
const SEEN_HERE = "The text stays on this computer, until you delete it.";

const find = (selector) => document.querySelector(selector);

/** Add the card and the list to the page, and keep them up to date. */
export async function openDesk(page, writer, trainings) {
  const load = (name) => loadText(name, trainings.connection, page);
  const files = ["../learning-card.html", "trainings.html", "../learning.css", "trainings.css"];
  const [card, list, ...styles] = await Promise.all(files.map(load));
  styles.forEach(addStyle);
  const parse = (html) => document.createRange().createContextualFragment(html);
  find("main").prepend(parse(card));
  const section = parse(list);
  find("#learn > .choices").after(...section.querySelectorAll("section, template"));
  find("#learn > label").before(section);
  const isHere = /^(localhost|127\.|\[::1\])/.test(location.hostname);
  find("#learn-about").textContent = ABOUT + (isHere ? SEEN_HERE : SEEN_BY);
  await new Desk(page, writer, trainings).open();
}

/** Return the text of a file beside this module, as soon as the server sends it. */
async function loadText(name, connection, page) {
  for (;;) {
    try {
      return await (await connection.request(new URL(name, import.meta.url))).text();
    } catch (error) {
      page.fail(error);
      await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
    }
  }
}

function addStyle(css) {
  const sheet = new CSSStyleSheet(); // the server's policy forbids a style in the page
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
}

class Desk {
  constructor(page, writer, trainings) {
    Object.assign(this, { page, writer, trainings });
    this.items = new Map(); // id -> its item in the list
    this.models = []; // of the menu
    this.described = new Map(); // id -> the last description of the training
    this.isAway = false; // whether the server does not answer
    this.timer = 0; // of the next look at the server
    const region = find("#trainings");
    this.card = new LearningCard(find("#learn"), trainings.facts.max_text,
      (given, report) => this.#learn(given, report),
      trainings.facts.documents && ((file) => this.#readDocument(file)));
    listenToIdentity(region, trainings, (words) => this.refresh(words));
    find("#about").hidden = false;
    find("[popovertarget=card]").hidden = true; // there is no single model
    find("#learn-open").addEventListener("click", () => this.card.open());
    find("#model").addEventListener("input", () => this.#showTakeHome());
    find("#take-home").addEventListener("click", () => this.#takeHome());
    document.addEventListener("visibilitychange", () => this.#look());
    this.acts = this.#listActs();
  }

  get chosen() {
    return this.models.find(({ id }) => id === this.page.settings.chosenModel);
  }

  /**
   * Show what the server has, now and whenever it changes. The card is open unless this browser has
   * a text, or the server a model that it has not learned.
   */
  async open() {
    await this.#look();
    const isServed = this.models.some(({ id, name }) => id === name); // not learned
    if (!isServed && !this.trainings.all.some(({ is_mine }) => is_mine)) this.card.open();
  }

  async #look() {
    clearTimeout(this.timer);
    if (document.hidden) return; // until it is visible again
    try {
      await this.refresh();
      if (this.isAway) this.page.say("");
      this.#showNotice("");
    } catch (error) {
      if (!error.status) this.#showNotice(error.message);
    }
    this.#lookLater();
  }

  #lookLater() {
    const intervals = this.trainings.all.map(({ state }) => INTERVALS[state] ?? LATER);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#look(), Math.min(LATER, ...intervals));
  }

  /** Ask the server for models and trainings, and show them. */
  async refresh(words) {
    const { trainings, writer } = this;
    if (words) await trainings.refresh(words);
    const models = await writer.fetchModels();
    await Promise.all(trainings.all.map((training) => this.#describe(training)));
    this.#showModels(models);
    this.#showList();
    showIdentity(find("#trainings"), trainings);
    this.#lookLater();
  }

  /** Ask for the losses and samples of a training if they are shown and have changed. */
  async #describe(training) {
    const old = this.described.get(training.id);
    const { state } = training;
    const isShown = state === "training" || this.items.get(training.id)?.isOpen;
    if (isShown && (state === "training" || old?.state !== state)) {
      this.described.set(training.id, await this.trainings.describe(training.id));
    }
    Object.assign(training, { ...this.described.get(training.id), ...training });
  }

  #showModels(models) {
    if (JSON.stringify(models) === JSON.stringify(this.models)) return;
    const { page } = this;
    const before = this.chosen;
    this.models = models;
    page.showModels(models);
    this.#showTakeHome();
    const { chosen } = this;
    if (before && chosen && chosen.label !== before.label) {
      const isDeleted = chosen.id !== before.id;
      if (isDeleted) page.chooseModel(chosen.id);
      page.say(`${isDeleted ? `${before.label} was deleted. ` : ""}Now: ${chosen.label}`);
      page.resetAnnotations();
    }
    this.card.canClose ||= models.length > 0; // from then on also without a model, for the drafts
    if (before && !chosen) {
      page.generation.dismiss();
      this.card.open("The text was deleted on the server. What you wrote is still here: Back.");
    }
    const served = models.filter(({ name }) => name);
    this.#showChoices("#option-start", served.map(({ name }) => [name, name]));
  }

  #showTakeHome() {
    find("#take-home").hidden = !this.chosen?.files?.includes("page.html");
  }

  async #takeHome() {
    this.page.say("Making a page of the model …");
    const making = this.acts.saveFile(this.chosen, "page.html");
    await making.then(() => this.page.say(""), (error) => this.page.fail(error));
  }

  #showList() {
    const { all } = this.trainings;
    const cards = new Map(this.models.map((card) => [card.id, card]));
    for (const id of this.items.keys()) {
      if (this.trainings.find(id)) continue;
      this.items.get(id).element.remove();
      this.items.delete(id);
    }
    for (const training of all.toReversed()) {
      if (!this.items.has(training.id)) {
        const item = new TrainingItem(this.acts, () => this.#look());
        this.items.set(training.id, item);
        find("#trainings > ol").prepend(item.element);
      }
      this.items.get(training.id).show(training, cards.get(training.id));
    }
    const shared = this.models.filter(({ id, name }) => name && id !== name);
    const texts = new Map([...shared, ...all].map(({ id, name }) => [id, name]));
    this.#showChoices("#option-background", [...texts]);
    const own = all.filter(({ is_mine }) => is_mine);
    const busy = own.find(({ state }) => state === "training")
      ?? own.find(({ state }) => state === "waiting");
    find("#licence").textContent = busy ? `${busy.name} · ${describeState(busy)}` : "";
    find("#learn-open").textContent = own.length ? "Your texts"
      : all.length ? "All texts" : "Write with your own text";
    find("#trainings > ol").hidden = !all.length;
  }

  /** Offer values with their texts in a menu, besides its first entry. */
  #showChoices(selector, choices) {
    const menu = find(selector);
    const { value } = menu;
    menu.replaceChildren(menu[0], ...choices.map(([id, text]) => new Option(text, id)));
    menu.value = value;
    if (menu.selectedIndex < 0) menu.value = "";
  }

  #showNotice(message) {
    this.isAway = message !== "";
    for (const id of ["#notice", "#trainings-notice"]) find(id).textContent = message;
  }

  /** Let the server learn a text, count it meanwhile, and write with it. */
  async #learn({ name, text, training }, report) {
    let failure = null;
    if (!training) {
      report("Sending the text");
      const sending = this.trainings.create(this.#readOptions(name), new Blob([text]));
      training = await sending.catch((error) => {
        if (REFUSED.includes(error.status)) throw error;
        failure = error;
        return null;
      });
    }
    const given = { name: training?.name ?? name, text };
    const id = training?.id ?? `unsent ${name}`;
    const card = await this.writer.countText(id, given, report);
    find("#option-name").value = "";
    if (training) await this.refresh();
    else this.#showModels([...this.models.filter((model) => model.id !== id), card]);
    this.page.chooseModel(id);
    if (failure) this.page.fail(new Error(`${failure.message} ${name} is counted in this browser.`));
  }

  /** Let the server read a document, and return its text. */
  async #readDocument(file) {
    const training = await this.trainings.create(this.#readOptions(removeExtension(file.name)), file);
    try {
      const text = prepareText(await this.trainings.fetchText(training.id), file.name, Infinity);
      return { name: training.name, text, training };
    } catch (error) {
      await this.trainings.remove(training.id);
      throw error;
    }
  }

  #readOptions(name) {
    const { value: chosen } = find("#option-name");
    return {
      name: chosen.trim() || name,
      minutes: find("#option-minutes").value,
      background: find("#option-background").value,
      start_from: find("#option-start").value,
    };
  }

  /** Return what one can do with a training, by the names in trainings.html. */
  #listActs() {
    const { trainings } = this;
    const change = (values) => async ({ id }) => {
      await trainings.change(id, values);
      await this.refresh();
    };
    return {
      write: async ({ id }) => {
        this.card.close();
        this.page.chooseModel(id);
      },
      stop: change({ state: "stopped" }),
      resume: change({ state: "waiting" }),
      share: change({ is_shared: true }),
      hide: change({ is_shared: false }),
      rename: async ({ id }, name) => {
        await trainings.rename(id, name);
        await this.refresh();
      },
      copy: async ({ id, name }) => {
        const copied = await trainings.create({ ...this.#readOptions(name), copy: id });
        await this.refresh();
        this.items.get(copied.id)?.open();
      },
      remove: async ({ id }) => {
        await trainings.remove(id);
        await this.refresh();
      },
      saveFile: async ({ id }, file) => {
        const { name: model } = this.models.find((card) => card.id === id);
        const path = `v1/files/${file}?${new URLSearchParams({ model })}`;
        const response = await trainings.connection.request(path);
        saveFile(`${model}${SUFFIXES[file]}`, await response.blob());
      },
    };
  }
}

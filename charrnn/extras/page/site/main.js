/** Open the page: with the model in it, with one of its server, or to learn a text. */

import { LearningCard } from "./learning-card.js";
import { translate, translatePage } from "./language.js";
import { Page } from "./page.js";
import { saveFile } from "./save-file.js";
import { Server } from "./server.js";
import { forget } from "./storage.js";
import { Writer } from "./writer.js";

const source = document.documentElement.outerHTML; // before the page changes
const find = (selector) => document.querySelector(selector);
const read = (id) => JSON.parse(find(`#${id}`).textContent);
const { keep, served } = document.documentElement.dataset;
const facts = read("learning");

class Program {
  /** @param {Writer} writer */
  constructor(writer) {
    this.writer = writer;
    this.page = null; // until there is a model
    this.texts = new Map(); // "text NAME" -> a text that was learnt in this window
    this.chosen = undefined; // undefined for the model in the page
    this.card = new LearningCard(find("#learn"), facts.max_characters, (given) => this.learn(given));
    writer.onStep = (step) => this.card.isBusy && this.card.showStep(step);
    this.server = served !== undefined && location.protocol.startsWith("http")
      ? new Server(find("#trainings"), this) : null;
    const onClick = (selector, act) => find(selector).addEventListener("click", () =>
      act().catch((error) => this.fail(error)));
    onClick("#learn-open", async () => this.card.open());
    onClick("#take-home", () => this.takeHome());
    onClick("#forget", () => this.forget());
    onClick("#train", () => this.server.train(this.text));
    find("#model").addEventListener("input", ({ target }) =>
      this.choose(target.value).catch((error) => this.fail(error)));
  }

  async start() {
    const packed = read("packed");
    if (packed !== null) {
      await this.writer.open(packed);
      await this.show();
      return;
    }
    await this.server?.list();
    if (this.page || this.card.isBusy) return; // the reader has given a text meanwhile
    const [newest] = this.server?.models.keys() ?? [];
    if (newest === undefined) this.card.open();
    else await this.choose(`model ${newest}`);
  }

  /** The text that the page has learnt and writes with; undefined if it writes with another model. */
  get text() {
    return this.texts.get(this.chosen);
  }

  async learn(given) {
    await this.writer.learn(given, facts);
    this.texts.set(`text ${given.name}`, given);
    await this.show(`text ${given.name}`);
  }

  /** Write with a text of this window, or with a model of the server: "text NAME" or "model NAME". */
  async choose(choice) {
    const text = this.texts.get(choice);
    if (text) {
      await this.learn(text);
      return;
    }
    const name = choice.slice("model ".length);
    await this.writer.open(await this.server.fetchModel(name));
    this.writer.model.about.title = name;
    await this.show(choice);
  }

  /** Show what the writer writes with, and its drafts and lists. */
  async show(choice) {
    const { writer } = this;
    this.chosen = choice;
    this.listModels();
    window.charrnn = writer.makeInterface();
    find("#forget").hidden = !writer.model.keep;
    find("#train").hidden = !(this.text && this.server?.trains);
    this.page ??= new Page(writer);
    await this.page.openModel(writer.model.keep ?? keep);
    const { title, licence } = writer.model.about;
    document.title = title;
    find("h1").textContent = title;
    find("#licence").textContent = translate(licence);
    this.card.canClose = true;
  }

  /** Offer the texts of this window and the models of the server for choice. */
  listModels() {
    const texts = [...this.texts].map(([choice, { name }]) =>
      new Option(translate("{name} (counted)", { name }), choice));
    const models = [...this.server?.models.keys() ?? []].map((name) =>
      new Option(name, `model ${name}`));
    const menu = find("#model");
    menu.replaceChildren(...texts, ...models);
    menu.value = this.chosen ?? "";
    menu.hidden = menu.length < 2;
  }

  /** Save this page with the model in it. */
  async takeHome() {
    const packed = await this.writer.call("pack");
    let html = source;
    if (served !== undefined) { // the file has no server
      html = html.replace(" data-served=\"\"", "").replace(" connect-src 'self';", "");
    }
    const start = '<script type="application/json" id="packed">';
    const from = html.indexOf(start) + start.length;
    html = html.slice(0, from) + JSON.stringify(packed) + html.slice(html.indexOf("<", from));
    saveFile(`${this.writer.model.about.title}.html`, `<!doctype html>\n${html}`, "text/html");
  }

  /** Forget the text, its drafts and its list, after a question. */
  async forget() {
    const { title } = this.writer.model.about;
    const question = "Forget “{title}”, its drafts and its list? This cannot be undone.";
    if (!confirm(translate(question, { title }))) return;
    this.page.isUnsaved = false;
    forget();
    location.reload();
  }

  fail(error) {
    this.listModels(); // a model that was chosen may not have come
    if (this.page) this.page.fail(error);
    else showNotice(error);
  }
}

/** Show an error until the page is closed. */
function showNotice(error) {
  document.documentElement.classList.remove("learning");
  find("#notice").textContent = translate(error.message);
}

async function start() {
  find("#waiting").remove();
  translatePage(document);
  await new Program(await Writer.start(read("engine"))).start();
}

window.charrnn = { ready: false };
start().catch(showNotice);

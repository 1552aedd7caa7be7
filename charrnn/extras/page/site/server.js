/** The models of the page's server, and the networks that it trains. */

import { translate } from "./language.js";

const LOOK = 2000; // milliseconds between two looks at a server that trains
const ACTIVE = ["waiting", "running"]; // states of a training that goes on
const GONE = "The server does not answer. Is “charrnn serve” still running?";

export class Server {
  /**
   * @param {HTMLElement} panel  A popover with an `ol` and the template of its items.
   * @param {object} program  Has `listModels()` and `fail(error)`.
   */
  constructor(panel, program) {
    this.panel = panel;
    this.program = program;
    this.models = new Map(); // name -> its file
    this.trains = false; // whether it trains networks
    this.timer = 0;
    this.panel.querySelector("ol").addEventListener("click", ({ target }) => {
      const { act, id } = target.dataset;
      if (act === "stop") this.#change("POST", `v1/trainings/${id}/stop`);
      if (act === "delete") this.#change("DELETE", `v1/trainings/${id}`);
    });
  }

  /** Ask for the models, the newest first, and for the trainings. */
  async list() {
    this.models = await fetchModels();
    await this.#look();
  }

  /** Return a packed model. */
  async fetchModel(name) {
    const response = await send(this.models.get(name));
    return response.arrayBuffer();
  }

  /** Train a network on a text. */
  async train({ name, text }) {
    this.panel.showPopover();
    await this.#change("POST", "v1/trainings", { name, text });
  }

  async #change(method, path, body) {
    await send(path, { method, body }).catch((error) => this.program.fail(error));
    if (method === "DELETE") await this.#listModels(); // without the model of the training
    await this.#look();
  }

  /** Show the trainings, as long as one goes on; a network that is ready becomes a model. */
  async #look() {
    clearTimeout(this.timer);
    const response = await fetch("v1/trainings").catch(() => null);
    this.trains = response?.ok ?? false;
    if (!this.trains) return;
    const { data } = await response.json();
    const { act, id } = this.panel.querySelector(":focus")?.dataset ?? {};
    this.panel.querySelector("ol").replaceChildren(...data.map((each) => this.#makeItem(each)));
    this.panel.querySelector(`[data-act="${act}"][data-id="${id}"]`)?.focus();
    this.panel.querySelector("p").hidden = data.length > 0;
    document.querySelector("#trainings-open").hidden = !data.length;
    if (data.some(({ better }) => better)) await this.#listModels();
    if (data.some(({ state }) => ACTIVE.includes(state))) {
      this.timer = setTimeout(() => this.#look(), LOOK);
    }
  }

  /** Offer the models that the server has now. */
  async #listModels() {
    this.models = await fetchModels().catch(() => this.models);
    this.program.listModels();
  }

  #makeItem({ id, name, state, line, loss, losses, better }) {
    const template = this.panel.querySelector("template");
    const item = template.content.firstElementChild.cloneNode(true);
    const best = loss === null ? "" : translate("loss {n}", { n: loss.toFixed(3) });
    const parts = [translate(state), line || best,
      better ? translate("writes better than counts: choose it above") : ""];
    item.querySelector("b").textContent = name;
    item.querySelector("span").textContent = parts.filter(Boolean).join(" · ");
    item.querySelector("polyline").setAttribute("points", drawCurve(losses));
    const isActive = ACTIVE.includes(state);
    for (const button of item.querySelectorAll("button")) {
      button.dataset.id = id;
      button.hidden = (button.dataset.act === "stop") !== isActive;
    }
    return item;
  }
}

/** Return the points of a curve in a box of 100 x 30. */
function drawCurve(losses) {
  const [steps, values] = [0, 1].map((column) => losses.map((row) => row[column]));
  const scale = (value, all, size) =>
    (size * (value - Math.min(...all))) / (Math.max(...all) - Math.min(...all) || 1);
  return losses.map(([step, value]) =>
    `${scale(step, steps, 100)},${30 - scale(value, values, 30)}`).join(" ");
}

/** Return the file of each model by its name, the newest first. */
async function fetchModels() {
  const { data } = await (await send("v1/models")).json();
  return new Map(data.map(({ id, file }) => [id, file]));
}

/** Return the response to a request; a relative path also works behind a proxy. */
async function send(path, { method = "GET", body } = {}) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const options = { method, headers, body: body && JSON.stringify(body) };
  const response = await fetch(path, options).catch(() => { throw new Error(GONE); });
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  throw new Error(answer?.error?.message ?? `${path}: ${response.status}`);
}

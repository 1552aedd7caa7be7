/** The trainings on the server that this browser may see: its own, or all for the teacher. */

/** What the reader is told for a status of the server. */
const REFUSALS = {
  404: "This text is no longer on the server.",
  413: "This text is too large for the server: take a part of it.",
  429: "Too many texts are waiting on the server. Try again when one is ready.",
  503: "The server cannot learn texts now. Try again later.",
  507: "The disk of the server is nearly full, so it takes no texts now.",
};
const PATH = "v1/trainings";

export class Trainings {
  #offer;

  /** @param {import("../connection.js").Connection} connection */
  constructor(connection) {
    this.connection = connection;
    this.all = []; // the newest first
    this.facts = null; // what this browser may do; null: the server learns no texts
    /** Resolves when the server is known to learn texts. */
    this.offered = new Promise((resolve) => { this.#offer = resolve; });
  }

  /** Ask for the list again. @param {string} [words]  Of another device, whose texts these are. */
  async refresh(words) {
    const options = words === undefined ? { allowed: [404] }
      : { headers: { "Charrnn-Words": words } };
    const response = await this.connection.request(PATH, options);
    if (!response.ok) return;
    const { data, ...facts } = await response.json();
    this.all = data.reverse();
    this.facts = facts;
    this.#offer();
  }

  find(id) {
    return this.all.find((training) => training.id === id);
  }

  /**
   * Let the server learn a text, or that of another training again.
   *
   * @param {object} query  `name`, and perhaps `minutes`, `background`, `start_from` and `copy`.
   * @param {Blob} [body]  The text in UTF-8, or a document.
   */
  async create({ name, ...query }, body) {
    const given = Object.entries({ name: cleanName(name), ...query }).filter(([, value]) => value);
    return (await this.#request(`?${new URLSearchParams(given)}`, { method: "POST", body })).json();
  }

  /** Return the description of a training with its losses and samples. */
  describe = async (id) => (await this.#request(`/${id}`)).json();
  fetchText = async (id) => (await this.#request(`/${id}/text`)).text();
  change = (id, values) => this.#request(`/${id}`, { method: "PATCH", body: values });
  rename = (id, name) => this.change(id, { name: cleanName(name) });
  remove = (id) => this.#request(`/${id}`, { method: "DELETE" });
  removeAll = () => this.#request("", { method: "DELETE" });

  async #request(path, options) {
    try {
      return await this.connection.request(`${PATH}${path}`, options);
    } catch (error) {
      // the server's sentence begins with the name of a field
      error.message = REFUSALS[error.status] ?? error.message.replace(/^name: /, "A name ")
        .replace(/^(?:minutes|background|start_from|copy|text|body): /, "");
      throw error;
    }
  }
}

/** Return a name without what the server refuses in names: markup, and the signs of paths. */
function cleanName(name) {
  const plain = name.replace(/[<>&"/\\\p{C}]+/gu, " ").replace(/^[\s.]+/, "");
  return [...plain].slice(0, 50).join("").trim() || "Text";
}

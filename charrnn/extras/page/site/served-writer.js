/** A writer with the models of the server; a text without one is counted in this browser. */

import { waitForModules } from "./connection.js";
import { prepareText } from "./text-file.js";
import { createHttpWriter } from "./writer-http.js";

const COUNTED = "counted in this browser";

/**
 * In its menu, the id of a training means its model on the server, as soon as there is one.
 *
 * @param {import("./connection.js").Connection} connection
 * @param {import("./trainings/trainings.js").Trainings} trainings
 */
export function createServedWriter(connection, trainings) {
  const http = createHttpWriter(connection);
  const names = new Map(); // id in the menu -> name of the model on the server
  const counted = new Map(); // id -> promise of a writer with the counts
  const unsent = new Map(); // id -> card of a text that is in no list of the server yet
  let facts = null; // for counting

  async function makeCountingWriter({ name, text }, report = () => {}) {
    const [{ learnText, makeSampler }, { createNetworkWriter }] = await waitForModules(
      import("./learnt.js"), import("./writer-network.js"));
    facts ??= await (await connection.request("v1/learning")).json();
    const { max_characters: most, counting, model } = facts;
    const part = text.slice(0, most).replace(/[\ud800-\udbff]$/, "");
    const learnt = await learnText({ name, text: part }, counting, report);
    return createNetworkWriter(makeSampler(learnt, model), learnt.lines);
  }

  /** Return the writer with the counts of a text, which are made if there are none yet. */
  function count(id, read, report) {
    if (!counted.has(id)) {
      const making = read().then((given) => makeCountingWriter(given, report));
      making.catch(() => counted.delete(id)); // the next request tries again
      counted.set(id, making);
    }
    return counted.get(id);
  }

  /** Return the writer for an id of the menu, and its name for the model. */
  async function find(id) {
    if (names.has(id) || !(counted.has(id) || trainings.find(id))) return [http, names.get(id)];
    const read = async () => {
      const { name } = trainings.find(id);
      return { name, text: prepareText(await trainings.fetchText(id), name, Infinity) };
    };
    return [await count(id, read), id];
  }

  const pass = (method) => async (id, ...rest) => {
    const [writer, model] = await find(id);
    return writer[method](model, ...rest);
  };
  const passed = Object.keys(http).map((method) => [method, pass(method)]);

  return {
    ...Object.fromEntries(passed), // all that ask about a text, by the id of a model
    sampling: {},
    limits: {},
    useToken: http.useToken,

    async fetchModels() {
      const [cards] = await Promise.all([http.fetchModels(), trainings.refresh()]);
      Object.assign(this, { sampling: http.sampling, limits: http.limits });
      names.clear();
      const served = cards.map(({ id: name, training: id = name, ...card }) => {
        names.set(id, name);
        counted.delete(id);
        return { ...card, id, name, label: id === name ? name : `${name} · network` };
      });
      const waiting = trainings.all.filter(({ id, is_mine }) => is_mine && !names.has(id));
      for (const { id } of trainings.all) unsent.delete(id);
      return [...served, ...waiting.map(makeCountedCard), ...unsent.values()];
    },

    /** Count a text, and return its card. Its id is of a training, or of none. */
    async countText(id, given, report) {
      counted.delete(id);
      const { about } = await count(id, async () => given, report);
      const kind = about.is_list ? "list" : about.is_code ? "code" : "text";
      const card = makeCountedCard({ id, name: given.name, kind });
      if (!trainings.find(id)) unsent.set(id, card);
      return card;
    },

    async complete({ model: id, ...request }, onPiece) {
      const [writer, model] = await find(id);
      return writer.complete({ ...request, model }, onPiece);
    },
  };
}

function makeCountedCard({ id, name, kind }) {
  const [is_list, is_code] = [kind === "list", kind === "code"];
  return { id, name, label: `${name} · ${COUNTED}`, is_list, is_code, knows_words: !is_list };
}

/** The engine in a worker: it answers messages of writer.js, each {id, method, args}. */

import { Model } from "./network/model.js";
import { decodeBase64 } from "./network/packed.js";
import { ROUTINES } from "./network/routines.js";

let model = null;

const methods = {
  /** Return whether the browser can run models. */
  isSupported: () => typeof DecompressionStream !== "undefined"
    && WebAssembly.validate(decodeBase64(ROUTINES)),

  async open(data) {
    model = await Model.unpack(data);
    return model.describe();
  },

  learn(given, facts) {
    model = Model.learn(given, facts, (step) => postMessage({ step }));
    return model.describe();
  },
};

onmessage = async ({ data: { id, method, args } }) => {
  try {
    const result = await (methods[method] ?? model[method].bind(model))(...args);
    postMessage({ id, result });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};

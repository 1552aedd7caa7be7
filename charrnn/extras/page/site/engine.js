/** The engine (network/model.js) in a worker, so that the page never waits for it. */

const TOO_OLD = "This browser is too old for the page: use one of 2023 or later.";
const NO_WORKER = "This browser starts no worker, without which the page cannot write: open it in "
  + "another one.";

export class Engine {
  /** @param {string} script  Of the worker. */
  constructor(script) {
    this.calls = new Map(); // number -> the functions of a promise
    this.numCalls = 0;
    this.onStep = () => {}; // called with what is done next while the engine learns
    this.worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
    this.worker.onmessage = ({ data }) => {
      if (data.step) this.onStep(data.step);
      else this.#settle(data);
    };
    this.worker.onerror = () => {
      for (const id of this.calls.keys()) this.#settle({ id, error: NO_WORKER });
    };
  }

  /**
   * Return a running engine.
   *
   * @throws {Error} Says why this browser cannot run it.
   */
  static async start(script) {
    let engine;
    try {
      engine = new Engine(script);
    } catch {
      throw new Error(NO_WORKER);
    }
    if (!await engine.call("isSupported")) throw new Error(TOO_OLD);
    return engine;
  }

  /** Call a method of worker.js or of `Model`. */
  call(method, ...args) {
    return new Promise((resolve, reject) => {
      this.calls.set(++this.numCalls, { resolve, reject });
      this.worker.postMessage({ id: this.numCalls, method, args });
    });
  }

  #settle({ id, result, error }) {
    const { resolve, reject } = this.calls.get(id);
    this.calls.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }
}

/** Work in slices, between which the browser updates the page and handles events. */

const SLICE = 16; // milliseconds

export class Slices {
  #end = performance.now() + SLICE;

  /** Let the browser handle pending events if the slice is over. */
  async pause() {
    if (performance.now() < this.#end) return;
    await handleEvents();
    this.#end = performance.now() + SLICE;
  }
}

/** Resolve after the pending events. A timer would wait some milliseconds longer. */
function handleEvents() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

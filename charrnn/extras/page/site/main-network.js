import { unpackCounts } from "./network/counts.js";
import { Lines } from "./network/lines.js";
import { Sampler } from "./network/sampler.js";
import { openPage } from "./page.js";
import { networkWriter } from "./writer-network.js";

const textOf = (id) => document.getElementById(id).textContent;
window.charrnn = { ready: false };

async function open() {
  const counts = await unpackCounts(textOf("packed-counts"));
  if (!counts && textOf("packed-counts") !== "null") {
    showLack("This browser is too old for the counts in this page: the network alone writes");
  }
  const sampler = new Sampler(textOf("packed-model"), counts);
  const lines = JSON.parse(textOf("packed-lines"));

  /** For scripts that use the page: the same methods as a Model in Python. */
  window.charrnn = {
    ready: true,
    vocabulary: sampler.vocabulary.characters,
    generate: (options) => sampler.generate(options),
    score: (text) => sampler.score(text),
  };
  await openPage(networkWriter(sampler, lines && new Lines(lines)));
}

/** Show what the browser cannot do for as long as the page is open. */
function showLack(message) {
  document.querySelector("#lacking").textContent = message;
}

open().catch((error) => showLack(`This browser cannot run the page: ${error.message}`));

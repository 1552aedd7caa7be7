import { unpackedCounts } from "./network/counts.js";
import { Lines } from "./network/lines.js";
import { Sampler } from "./network/sampler.js";
import { openPage } from "./page.js";
import { networkWriter } from "./writer-network.js";

const textOf = (id) => document.getElementById(id).textContent;
window.charrnn = { ready: false };

async function open() {
  const counts = await unpackedCounts(textOf("packed-counts"));
  if (!counts && textOf("packed-counts") !== "null") {
    lacking("This browser is too old for the counts in this page: the network alone writes");
  }
  const sampler = new Sampler(textOf("packed-model"), counts);
  const lines = JSON.parse(textOf("packed-lines"));

  /** For whoever drives the page: the same as charrnn.load(...) in Python. */
  window.charrnn = {
    ready: true,
    vocabulary: sampler.vocabulary.characters,
    generate: (options) => sampler.generate(options),
    score: (text) => sampler.score(text),
  };
  await openPage(networkWriter(sampler, lines && new Lines(lines)));
}

/** Tell for as long as the page is open what the browser cannot do. */
function lacking(what) {
  document.querySelector("#lacking").textContent = what;
}

open().catch((error) => lacking(`This browser cannot run the page: ${error.message}`));

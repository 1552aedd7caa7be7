import { unpackCounts } from "./network/counts.js";
import { unpackLines } from "./network/lines.js";
import { createSampler } from "./network/network-sampler.js";
import { openPage } from "./page.js";
import { createNetworkWriter } from "./writer-network.js";

const readText = (id) => document.getElementById(id).textContent;
window.charrnn = { ready: false };

async function open() {
  const counts = await unpackCounts(readText("packed-counts"));
  if (!counts && readText("packed-counts") !== "null") {
    showNotice("This browser is too old for the counts in this page: only the network writes.");
  }
  const sampler = createSampler(readText("packed-model"), counts);
  const lines = await unpackLines(readText("packed-lines"));

  /** The interface for scripts, with the methods of Model in Python. */
  window.charrnn = {
    ready: true,
    vocabulary: sampler.vocabulary.characters,
    generate: (options) => sampler.generate(options),
    score: (text) => sampler.score(text),
  };
  await openPage(createNetworkWriter(sampler, lines));
}

/** Show a message about the browser until the page is closed. */
function showNotice(message) {
  document.querySelector("#notice").textContent = message;
}

open().catch((error) => showNotice(`This browser cannot run the page: ${error.message}`));

import { Copies } from "./copies.js";
import { unpackedCounts } from "./network/counts.js";
import { Sampler } from "./network/sampler.js";
import { openPage } from "./page.js";
import { networkWriter } from "./writer-network.js";

const textOf = (id) => document.getElementById(id).textContent;
const WITHOUT_COUNTS =
  "This browser is too old for a part of the model, its counts (it has no DecompressionStream). " +
  "The network writes alone, and not as well.";
window.charrnn = { ready: false };

async function open() {
  const packed = textOf("packed-counts");
  const counts = await unpackedCounts(packed);
  const sampler = new Sampler(textOf("packed-model"), counts);
  const index = JSON.parse(textOf("packed-copies"));

  /** For whoever drives the page: the same as charrnn.load(...) in Python. */
  window.charrnn = {
    ready: true,
    vocabulary: sampler.vocabulary.characters,
    generate: (options) => sampler.generate(options),
    score: (text) => sampler.score(text),
  };
  if (!counts && packed !== "null") lacking(WITHOUT_COUNTS);
  openPage(networkWriter(sampler, index && new Copies(index, sampler.vocabulary)));
}

/** Tell for as long as the page is open what the browser cannot do. */
function lacking(what) {
  document.getElementById("lacking").textContent = what;
}

open().catch((error) => lacking(`This browser cannot run the page: ${error.message}`));

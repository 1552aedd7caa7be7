import { Copies } from "./copies.js";
import { Sampler } from "./network/sampler.js";
import { openPage } from "./page.js";
import { networkWriter } from "./writer-network.js";

const sampler = new Sampler(document.getElementById("packed-model").textContent);
const index = JSON.parse(document.getElementById("packed-copies").textContent);

/** For whoever drives the page: the same as charrnn.load(...) in Python. */
window.charrnn = {
  ready: true,
  vocabulary: sampler.vocabulary.characters,
  generate: (options) => sampler.generate(options),
  score: (text) => sampler.score(text),
};
openPage(networkWriter(sampler, index && new Copies(index, sampler.vocabulary)));

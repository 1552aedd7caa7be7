import { parseCollections, saveFile } from "./files.js";
import { LearningCard } from "./learning-card.js";
import { learnText, makeSampler, packLearnt, unpackLearnt } from "./learnt.js";
import { unpackCounts } from "./network/counts.js";
import { unpackLines } from "./network/lines.js";
import { createSampler } from "./network/network-sampler.js";
import { openPage } from "./page.js";
import { makeInterface } from "./script-interface.js";
import { createNetworkWriter } from "./writer-network.js";

const source = document.documentElement.outerHTML; // before the page changes
const find = (selector) => document.querySelector(selector);
const readText = (id) => find(`#${id}`).textContent;
const isGiven = (id) => readText(id) !== "null";
const given = JSON.parse(readText("learning"));
const card = new LearningCard(find("#learn"), given.max_characters, learn);
let page = null;
let learnt = null; // the text with whose counts the page writes; null: it writes with its network
window.charrnn = { ready: false };

async function open() {
  find("#model").hidden = true;
  find("#learn-open").addEventListener("click", () => card.open());
  find("#take-home").addEventListener("click", () => takeHome().catch((error) => page.fail(error)));
  if (isGiven("packed-learnt")) {
    const { learnt: unpacked, saved } = await unpackLearnt(readText);
    await writeWithCounts(unpacked);
    page.shelf.addIfNew(parseCollections(saved));
  } else if (isGiven("packed-model")) {
    const counts = await unpackCounts(readText("packed-counts"));
    if (!counts && isGiven("packed-counts")) {
      showNotice("This browser is too old for the counts in this page: only the network writes.");
    }
    const lines = await unpackLines(readText("packed-lines"));
    await write(createSampler(readText("packed-model"), counts), lines);
  } else {
    card.open();
  }
  card.canClose = page !== null;
}

async function learn(text, report) {
  await writeWithCounts(await learnText(text, given.counting, report));
}

async function writeWithCounts(text) {
  await write(makeSampler(text, given.model), text.lines, text.keep);
  learnt = text;
  find("#take-home").hidden = false;
  find("#learn-open").textContent = "Another text";
}

/** Let the page write with a sampler, and open the drafts and lists under a prefix. */
async function write(sampler, lines, keep = document.documentElement.dataset.keep) {
  window.charrnn = makeInterface(sampler);
  const writer = createNetworkWriter(sampler, lines);
  if (page) {
    await page.changeWriter(writer, keep);
    return;
  }
  document.documentElement.dataset.keep = keep;
  page = await openPage(writer);
}

/** Save this page with the counts, the drafts and the lists in it. */
async function takeHome() {
  if (!page.store()) return;
  const data = { "packed-model": "null", ...await packLearnt(learnt, page.shelf.toJson()) };
  let html = source;
  for (const [id, json] of Object.entries(data)) {
    const start = `<script type="application/json" id="${id}">`;
    const from = html.indexOf(start) + start.length;
    const end = html.indexOf("<", from);
    html = html.slice(0, from) + json.replaceAll("<", "\\u003c") + html.slice(end);
  }
  saveFile(`${learnt.name}.html`, `<!doctype html>\n${html}`, "text/html");
}

/** Show a message about the browser until the page is closed. */
function showNotice(message) {
  find("#notice").textContent = message;
}

open().catch((error) => showNotice(`This browser cannot run the page: ${error.message}`));

/** Learn a text in the page, and make a sampler of its counts. */

import { CountedNetwork, Counts, unpackCounts } from "./network/counts.js";
import { learn } from "./network/learn.js";
import { Lines, listChecksums, unpackLines } from "./network/lines.js";
import { NoNetwork } from "./network/no-network.js";
import { packCounts, packLines } from "./network/packing.js";
import { Sampler } from "./network/sampler.js";
import { Slices } from "./slices.js";

const LINES = 2000; // of which checksums are made at once
const ADVICE = "Counted in this browser; with a network (charrnn train) it writes better from about "
  + "60 kB on.";

/**
 * A text that the page has learnt.
 *
 * @typedef {object} Learnt
 * @property {string} name
 * @property {string} keep  The prefix of the stored drafts and lists.
 * @property {string[]} tokens
 * @property {boolean} isCode
 * @property {boolean} isList
 * @property {string} primer
 * @property {Counts} counts
 * @property {Lines} lines
 * @property {() => Promise<Record<string, string>>} pack  Returns the counts and lines as JSON.
 */

/**
 * Learn a text.
 *
 * @param {{name: string, text: string}} given
 * @param {object} constants  Those of `learn`.
 * @param {(step: string) => void} report  Called with what is done next.
 * @returns {Promise<Learnt>}
 */
export async function learnText({ name, text }, constants, report) {
  const slices = new Slices();
  const steps = learn(text, constants);
  let step = steps.next();
  for (; !step.done; step = steps.next()) {
    if (step.value) report(step.value);
    await slices.pause();
  }
  const lines = text.split("\n").map((line) => line.trimEnd());
  const checksums = [];
  for (let first = 0; first < lines.length; first += LINES) {
    checksums.push(...listChecksums(lines.slice(first, first + LINES)));
    await slices.pause();
  }
  const { packed, arrays, ...rest } = step.value;
  const pack = async () => ({
    "packed-counts": await packCounts(packed, arrays),
    "packed-lines": await packLines(checksums),
  });
  const keep = `charrnn.text.${hashText(text)}`;
  await slices.pause();
  const counts = new Counts(packed, arrays);
  await slices.pause();
  return { name, keep, ...rest, counts, lines: new Lines(checksums), pack };
}

/** Return a sampler that writes with the counts. `given` has the facts and constants of a model. */
export function makeSampler(learnt, { facts, constants }) {
  const { name, tokens, isCode, isList, counts } = learnt;
  const primer = [...learnt.primer].map((character) => tokens.indexOf(character));
  const card = [
    ["Learnt from", name],
    ["Knows", `${tokens.length} characters`],
    ["Model", `counts of up to ${counts.context + 1} characters in a row, without a network`],
  ];
  const about = { title: name, card, licence: ADVICE, is_code: isCode, is_list: isList };
  const vocabulary = { tokens, bytes: false };
  const network = new CountedNetwork(new NoNetwork(tokens.length), counts);
  return new Sampler({ vocabulary, facts: { ...facts, about, primer }, constants }, network);
}

/**
 * Return what a page needs to write with the counts, as JSON by the id of its element.
 *
 * @param {Learnt} learnt
 * @param {string} saved  Drafts and lists as JSON.
 */
export async function packLearnt({ counts, lines, pack, ...learnt }, saved) {
  const description = { ...learnt, saved: JSON.parse(saved) };
  return { "packed-learnt": JSON.stringify(description), ...await pack() };
}

/** Return the text that a page learnt before it was saved, and the drafts and lists in the page. */
export async function unpackLearnt(readText) {
  const { saved, ...description } = JSON.parse(readText("packed-learnt"));
  const ids = ["packed-counts", "packed-lines"];
  const packed = Object.fromEntries(ids.map((id) => [id, readText(id)]));
  const counts = await unpackCounts(packed["packed-counts"]);
  if (!counts) throw new Error("it is too old for the counts in this page");
  const lines = await unpackLines(packed["packed-lines"]);
  return { learnt: { ...description, counts, lines, pack: () => packed }, saved };
}

/** Return a name for a text: its length, and its hash by Fowler, Noll and Vo. */
function hashText(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return `${text.length}-${(hash >>> 0).toString(36)}`;
}

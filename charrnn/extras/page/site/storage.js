/**
 * Store the draft, the list and the settings in this browser, so that they survive a reload.
 *
 * Pages that are opened as files may share one storage, so each has a different `data-keep`
 * attribute, which is part of its keys.
 */

import { Passage } from "./draft.js";

const PREFIX = document.documentElement.dataset.keep ?? "charrnn";
const DRAFT = `${PREFIX}.draft`;
const LIST = `${PREFIX}.list`;
const SETTINGS = `${PREFIX}.settings`;

/** Store the draft, and return whether the browser had room and allowed it. */
export function storeDraft({ text, bits }, caret) {
  return store(DRAFT, { text, bits: packBits(bits), caret });
}

/** Return the stored draft as {passage, caret}, or null. */
export function loadDraft() {
  const { text, bits, caret } = load(DRAFT) ?? {};
  if (typeof text !== "string" || typeof bits !== "string") return null;
  if (bits.length !== text.length) return null;
  return { passage: new Passage(text, unpackBits(bits)), caret: Number(caret) || 0 };
}

/** Call `listener` when another window of this browser has stored its draft. */
export function onDraftStoredElsewhere(listener) {
  window.addEventListener("storage", (event) => {
    if (event.key === DRAFT) listener();
  });
}

/** @param {import("./list.js").Entry[]} entries */
export const storeList = (entries) => store(LIST, entries);
export const loadList = () => [load(LIST) ?? []].flat();
export const storeSettings = (settings) => store(SETTINGS, settings);
export const loadSettings = () => load(SETTINGS) ?? {};

/** The server's token is stored for this window only. */
export const storeToken = (token) => store("charrnn.token", token, "sessionStorage");
export const loadToken = () => load("charrnn.token", "sessionStorage");

function store(key, value, storage = "localStorage") {
  try {
    window[storage].setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false; // the storage is full or switched off
  }
}

function load(key, storage = "localStorage") {
  try {
    return JSON.parse(window[storage].getItem(key));
  } catch {
    return null;
  }
}

// Bits are stored in tenths, one letter each: "0" is 0, "1" is 0.1, ...; a space is NaN.
const NONE = " ";
const FIRST = 48;
const MAX_TENTHS = 1000;

function packBits(bits) {
  let letters = "";
  for (const value of bits) {
    const tenths = Math.min(MAX_TENTHS, Math.round(value * 10));
    letters += isNaN(value) ? NONE : String.fromCharCode(FIRST + tenths);
  }
  return letters;
}

function unpackBits(letters) {
  return Float32Array.from(letters, (letter) =>
    letter === NONE ? NaN : (letter.charCodeAt(0) - FIRST) / 10);
}

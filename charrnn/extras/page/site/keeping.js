/**
 * Keeps the draft and the settings in this browser, where they outlive a reload.
 *
 * Pages that are files may have one storage in common: each gives its root element a name of its own
 * (`data-keep`).
 */

import { Passage } from "./draft.js";

const PLACE = document.documentElement.dataset.keep ?? "charrnn";
const DRAFT = `${PLACE}.draft`;
const LIST = `${PLACE}.list`;
const SETTINGS = `${PLACE}.settings`;

/** Returns whether there was room, and leave, to keep it. */
export function keepDraft(passage, caret) {
  const kept = { text: passage.text, bits: packed(passage.bits), caret };
  return keep(DRAFT, kept);
}

/** The draft that was kept, as {passage, caret}, or null. */
export function keptDraft() {
  const { text, bits, caret } = kept(DRAFT) ?? {};
  if (typeof text !== "string" || typeof bits !== "string") return null;
  if (bits.length !== text.length) return null;
  return { passage: new Passage(text, unpacked(bits)), caret: Number(caret) || 0 };
}

/** Calls `listener` when another window of this browser has kept its draft. */
export function onDraftElsewhere(listener) {
  window.addEventListener("storage", (event) => {
    if (event.key === DRAFT) listener();
  });
}

/** @param {import("./list.js").Entry[]} entries */
export const keepList = (entries) => keep(LIST, entries);
export const keptList = () => [kept(LIST) ?? []].flat();
export const keepSettings = (settings) => keep(SETTINGS, settings);
export const keptSettings = () => kept(SETTINGS) ?? {};

/** Of the server, in this window alone. */
export const keepToken = (token) => keep("charrnn.token", token, "sessionStorage");
export const keptToken = () => kept("charrnn.token", "sessionStorage");

function keep(key, value, storage = "localStorage") {
  try {
    window[storage].setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false; // it is full, or switched off
  }
}

function kept(key, storage = "localStorage") {
  try {
    return JSON.parse(window[storage].getItem(key));
  } catch {
    return null;
  }
}

// Tenths of bits as letters: a blank for NaN, and from "0" on for the values 0, 0.1, ...
const NONE = " ";
const FIRST = 48;
const MOST = 1000;

function packed(bits) {
  let letters = "";
  for (const value of bits) {
    const tenths = Math.min(MOST, Math.round(value * 10));
    letters += isNaN(value) ? NONE : String.fromCharCode(FIRST + tenths);
  }
  return letters;
}

function unpacked(letters) {
  return Float32Array.from(letters, (letter) =>
    letter === NONE ? NaN : (letter.charCodeAt(0) - FIRST) / 10);
}

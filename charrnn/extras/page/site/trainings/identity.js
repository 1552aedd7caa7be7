/** Whose texts the list shows: three words lead to those of another device, one to all. */

import { ask } from "./question.js";

/**
 * Listen to the forms for words.
 *
 * @param {HTMLElement} region
 * @param {object} trainings
 * @param {(words?: string) => Promise<void>} refresh  Shows the list again, of the words' browser.
 */
export function listenToIdentity(region, trainings, refresh) {
  const find = (selector) => region.querySelector(selector);
  const run = async (form, act) => {
    const alert = form.querySelector("[role=alert]");
    alert.textContent = "";
    await act().catch((error) => { alert.textContent = error.message; });
  };
  find("#words-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = find("#typed-words");
    const words = field.value.normalize("NFKD").replace(/[^a-z]+/gi, " ").trim();
    run(event.target, async () => {
      const hasTexts = trainings.all.some(({ is_mine }) => is_mine);
      const own = trainings.facts.words.replaceAll("-", " ");
      const sentence = `The list will show the texts of that device. Your texts here come back with `
        + `these words, so note them: ${own}`;
      if (hasTexts && !await ask(event.submitter, sentence)) return;
      await refresh(words).catch((error) => {
        throw error.status === 400 || error.status === 404
          ? new Error("No texts have these three words.") : error;
      });
      field.value = "";
    });
  });
  find("#teacher-form").addEventListener("submit", (event) => {
    event.preventDefault();
    run(event.target, async () => {
      trainings.connection.useSecret("teacher", find("#teacher-word").value);
      await refresh();
      if (!trainings.facts.is_teacher) throw new Error("This is not the teacher's word.");
      find("#teacher-word").value = "";
    });
  });
  find("#end-lesson").addEventListener("click", async ({ target }) => {
    const { length } = trainings.all;
    const sentence = `Delete all ${length} texts of all browsers, with their networks? `
      + "Only what was taken home stays.";
    if (!await ask(target, sentence)) return;
    run(find("#teaching"), async () => {
      await trainings.removeAll();
      await refresh();
    });
  });
}

/** Show the words of this browser, and what the teacher may do. */
export function showIdentity(region, { facts: { words, is_teacher }, all }) {
  region.querySelector("#own-words").textContent = words.replaceAll("-", " ");
  region.querySelector("#teacher-form").hidden = is_teacher;
  region.querySelector("#teaching").hidden = !is_teacher;
  region.querySelector("#end-lesson").disabled = !all.length;
  region.querySelector("#trainings-title").textContent =
    all.every(({ is_mine }) => is_mine) ? "Your texts" : "All texts";
}

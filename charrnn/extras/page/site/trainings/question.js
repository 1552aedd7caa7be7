/** Ask the reader once in the page, in place of a button that deletes. */

/**
 * @param {HTMLElement} button  The question takes its place until it is answered.
 * @param {string} sentence
 * @returns {Promise<boolean>}
 */
export async function ask(button, sentence) {
  const question = document.querySelector("#question-template").content.cloneNode(true).children[0];
  question.querySelector("p").textContent = sentence;
  question.ariaLabel = sentence;
  question.querySelector(".yes").textContent = button.textContent;
  button.after(question);
  button.hidden = true;
  question.querySelector(".no").focus();
  const isYes = await new Promise((resolve) => {
    question.querySelector(".yes").onclick = () => resolve(true);
    question.querySelector(".no").onclick = () => resolve(false);
  });
  question.remove();
  button.hidden = false;
  button.focus();
  return isYes;
}

/**
 * Return the interface of a model for scripts, with the methods of Model in Python.
 *
 * @param {import("./network/sampler.js").Sampler} sampler
 */
export function makeInterface(sampler) {
  return {
    ready: true,
    vocabulary: sampler.vocabulary.characters,
    generate: (options) => sampler.generate(options),
    score: (text) => sampler.score(text),
  };
}

/** A writer that asks the server of `charrnn serve`, by OpenAI's completions. */

import { request, requestQuietly } from "./connection.js";
import { storeToken } from "./storage.js";
import { WriterError } from "./writer.js";

const LIKELIEST = 20; // characters to request at a place
const WORDS = 9; // words to request at a place

/** @returns {import("./writer.js").Writer} */
export function createHttpWriter() {
  const unavailable = new Set(); // paths and models for which the server has no training text

  /** Compare a text with a model's training text; null if the server does not have it. */
  async function compare(path, model, text) {
    const key = `${path} ${model}`;
    if (unavailable.has(key) || text.length > writer.limits.prompt) return null;
    const options = { body: { model, text }, allowed: [404, 405, 501] };
    const response = await requestQuietly(path, options);
    if (response.ok) return response.json();
    unavailable.add(key);
    return null;
  }

  /** Return the end of a text that the server reads as a prompt. */
  function selectEnd(text) {
    const { prompt: most } = writer.limits;
    return text.length > most ? [...text].slice(-most).join("") : text;
  }

  const writer = {
    sampling: {},
    limits: {},

    async fetchModels() {
      const response = await request("v1/models");
      const { data, sampling, limits = {} } = await response.json();
      Object.assign(this, { sampling, limits });
      return data;
    },

    async complete({ signal, prompt, ...rest }, onPiece) {
      const body = { logprobs: 0, ...rest, prompt: selectEnd(prompt), stream: true };
      const stopped = new Set();
      try {
        const response = await request("v1/completions", { body, signal });
        for await (const event of readEvents(response.body)) {
          if (event.error) throw new WriterError(event.error.message);
          for (const choice of event.choices) {
            onPiece(choice.index, toCharacters(choice));
            if (choice.finish_reason === "stop") stopped.add(choice.index);
          }
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
      return stopped;
    },

    async findCopies(model, text) {
      const answer = await compare("v1/copied", model, text);
      return answer && toCodeUnits(text, answer.ranges);
    },

    async findTrainingLines(model, lines) {
      const answer = await compare("v1/lines", model, lines.join("\n")).catch((error) => {
        if (!error.isQuiet) throw error;
        return null; // the list is written without this knowledge
      });
      return answer && new Set(answer.lines);
    },

    async score(model, text) {
      const prompt = selectEnd(text);
      const body = { model, prompt, echo: true, max_tokens: 0, logprobs: 0 };
      const response = await request("v1/completions", { body });
      const unread = Array.from(text.slice(0, text.length - prompt.length));
      const scored = toCharacters((await response.json()).choices[0], 0);
      return [...unread.map((each) => ({ text: each, logprob: NaN })), ...scored];
    },

    async findLikeliest(model, text) {
      const prompt = selectEnd(text);
      const body = { model, prompt, max_tokens: 1, temperature: 0, logprobs: LIKELIEST };
      const response = await request("v1/completions", { body });
      const [first] = (await response.json()).choices[0].logprobs.top_logprobs;
      return Object.entries(first ?? {})
        .filter(([text]) => !text.startsWith("bytes:")) // a part of a character
        .map(([text, logprob]) => ({ text, logprob }))
        .sort((a, b) => b.logprob - a.logprob);
    },

    async findNextWords(model, text) {
      const body = { model, prompt: selectEnd(text), k: WORDS };
      const response = await request("v1/next_words", { body });
      const { words } = await response.json();
      return words.map(({ text, probability }) => ({ text, logprob: Math.log(probability) }));
    },

    async findReplacements(model, characters) {
      const body = { model, text: characters.join("") };
      const response = await requestQuietly("v1/read_as", { body });
      return (await response.json()).read_as;
    },

    useToken: storeToken,
  };
  return writer;
}

/** Yield the content of each server-sent event, until [DONE]. */
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) throw new WriterError("The server stopped early. The text so far is kept.");
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const data = line.slice("data:".length).trim();
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

/** Return the characters of a choice whose text starts at an offset, with their probabilities. */
function toCharacters({ text, logprobs }, start = logprobs?.text_offset[0]) {
  const characters = Array.from(text, (character) => ({ text: character, logprob: NaN }));
  const { token_logprobs: values = [], text_offset: offsets = [] } = logprobs ?? {};
  // With a vocabulary of bytes, all bytes of a character have its offset; their values add up.
  values.forEach((value, i) => {
    const character = characters[offsets[i] - start];
    if (character && value !== null) character.logprob = (character.logprob || 0) + value;
  });
  return characters;
}

/** Convert ranges of code points to code units of a JavaScript string (an emoji has two). */
function toCodeUnits(text, ranges) {
  const offsets = [0];
  for (const character of text) offsets.push(offsets.at(-1) + character.length);
  return ranges.map(([start, end]) => [offsets[start], offsets[end]]);
}

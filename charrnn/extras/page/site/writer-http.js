/** A writer over HTTP: the server of `charrnn serve`, in the shape of OpenAI's completions. */

import { keepToken, keptToken } from "./keeping.js";
import { WriterError } from "./writer.js";

const LIKELIEST = 20; // characters that are asked for at a place

/** @returns {import("./writer.js").Writer} */
export function httpWriter() {
  let token = keptToken();
  const tellsNothing = new Set(); // paths and models of which the server has no text

  async function request(path, { body, signal } = {}) {
    const headers = { Accept: "application/json, text/event-stream" };
    const bytes = new TextEncoder().encode(token ?? ""); // as which a header is sent
    if (token) headers.Authorization = `Bearer ${String.fromCharCode(...bytes)}`;
    if (body) headers["Content-Type"] = "application/json";
    const method = body ? "POST" : "GET";
    try {
      // relative, so that the page also works behind a proxy that serves it from a folder
      return await fetch(path, { method, headers, signal, body: body && JSON.stringify(body) });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new WriterError("The server does not answer. Is “charrnn serve” still running?");
    }
  }

  /** What a path says of a text and a model's training text; null where that is not at hand. */
  async function compared(path, model, text) {
    const about = `${path} ${model}`;
    if (tellsNothing.has(about)) return null;
    const response = await request(path, { body: { model, text } });
    if ([404, 405, 501].includes(response.status)) {
      tellsNothing.add(about);
      return null;
    }
    if (!response.ok) throw await refusal(response);
    return response.json();
  }

  return {
    sampling: {},
    lists: [],

    async models() {
      const response = await request("v1/models");
      if (!response.ok) throw await refusal(response);
      const { data, sampling } = await response.json();
      this.sampling = sampling;
      this.lists = data.filter((model) => model.is_list).map((model) => model.id);
      return data.map((model) => model.id);
    },

    async complete({ signal, ...rest }, onPiece) {
      const body = { logprobs: 0, ...rest, stream: true };
      try {
        const response = await request("v1/completions", { body, signal });
        if (!response.ok) throw await refusal(response);
        for await (const event of events(response.body)) {
          if (event.error) throw new WriterError(event.error.message);
          for (const choice of event.choices) onPiece(choice.index, charactersOf(choice));
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },

    async copied(model, text) {
      const answer = await compared("v1/copied", model, text);
      return answer && inCodeUnits(text, answer.ranges);
    },

    async inText(model, lines) {
      const answer = await compared("v1/lines", model, lines.join("\n"));
      return answer && new Set(answer.lines);
    },

    async score(model, prompt) {
      const body = { model, prompt, echo: true, max_tokens: 0, logprobs: 0 };
      const response = await request("v1/completions", { body });
      if (!response.ok) throw await refusal(response);
      return charactersOf((await response.json()).choices[0], 0);
    },

    async likeliest(model, prompt) {
      const body = { model, prompt, max_tokens: 1, temperature: 0, logprobs: LIKELIEST };
      const response = await request("v1/completions", { body });
      if (!response.ok) throw await refusal(response);
      const [first] = (await response.json()).choices[0].logprobs.top_logprobs;
      return Object.entries(first ?? {})
        .filter(([text]) => !text.startsWith("bytes:")) // no character by itself
        .map(([text, logprob]) => ({ text, logprob }))
        .sort((a, b) => b.logprob - a.logprob);
    },

    async readAs(model, characters) {
      const response = await request("v1/read_as", { body: { model, text: characters.join("") } });
      if (!response.ok) throw await refusal(response);
      return (await response.json()).read_as;
    },

    useToken(given) {
      token = given;
      keepToken(given);
    },
  };
}

/** What an answer that is no success means, as an error for the reader. */
async function refusal(response) {
  if (response.status === 401) {
    return new WriterError("This server asks for a token.", { wantsToken: true });
  }
  if (response.status === 429 || response.status === 503) {
    return new WriterError("The server is busy. Try again in a moment.");
  }
  const answer = await response.json().catch(() => null);
  const said = answer?.error?.message;
  return new WriterError(said || `The server cannot do this (status ${response.status}).`);
}

/** The JSON of each server-sent event, until the one that says [DONE]. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) throw new WriterError("The server broke off. What it had written is kept.");
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

/** The characters of one choice, whose text begins at a place, each with its log-probability. */
function charactersOf({ text, logprobs }, start = logprobs?.text_offset[0]) {
  const characters = Array.from(text, (character) => ({ text: character, logprob: NaN }));
  const { token_logprobs: values = [], text_offset: places = [] } = logprobs ?? {};
  // A model of bytes gives one value a byte; those of one character have one place, and add up.
  values.forEach((value, i) => {
    const character = characters[places[i] - start];
    if (character && value !== null) character.logprob = (character.logprob || 0) + value;
  });
  return characters;
}

/** Ranges of code points as ranges of a JavaScript string, whose emoji are two units long. */
function inCodeUnits(text, ranges) {
  const units = [0];
  for (const character of text) units.push(units.at(-1) + character.length);
  return ranges.map(([start, end]) => [units[start], units[end]]);
}

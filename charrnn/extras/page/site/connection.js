/** Requests to the server of `charrnn serve`, with the words that the reader has entered. */

import { loadSecret, storeSecret } from "./storage.js";
import { WriterError } from "./writer.js";

const HEADERS = { token: "Authorization", teacher: "Charrnn-Teacher" }; // of each secret
const NO_ANSWER = "The server does not answer. This page goes on when it does.";
const RETRY_AFTER = 1000; // milliseconds
const TRIES = 3; // of a request that a busy server has refused

/** Return modules, whose promises are given. Throw a WriterError if the server does not send them. */
export function waitForModules(...modules) {
  return Promise.all(modules).catch(() => { throw new WriterError(NO_ANSWER); });
}

export class Connection {
  /** Remember the server's token, or the teacher's, for this window. */
  useSecret(name, secret) {
    storeSecret(name, secret);
  }

  /**
   * Return the response to a request. Throw a WriterError unless it is successful.
   *
   * @param {string} path
   * @param {object} [options]
   * @param {object | Blob} [options.body]  Sent as JSON, or as it is.
   * @param {string} [options.method]  By default, a request with a body is a POST.
   * @param {Record<string, string>} [options.headers]
   * @param {number[]} [options.allowed]  Statuses that are no error.
   * @param {AbortSignal} [options.signal]
   */
  async request(path, { body, signal, allowed = [], headers = {}, method } = {}) {
    const isJson = body && !(body instanceof Blob);
    const options = {
      method: method ?? (body ? "POST" : "GET"),
      headers: { ...listSecrets(), ...headers },
      body: isJson ? JSON.stringify(body) : body,
      signal,
    };
    if (isJson) options.headers["Content-Type"] = "application/json";
    // a relative path also works behind a proxy that serves the page from a folder
    const response = await fetch(path, options).catch((error) => {
      if (signal?.aborted) throw error;
      throw new WriterError(NO_ANSWER);
    });
    if (!response.ok && !allowed.includes(response.status)) throw await toError(response);
    return response;
  }

  /** Return the response to a request that nobody waits for: a busy server is asked again. */
  async requestQuietly(path, options) {
    for (let tries = 1; ; tries++) {
      try {
        return await this.request(path, options);
      } catch (error) {
        error.isQuiet = error.status === 429;
        if (!error.isQuiet || tries === TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
      }
    }
  }
}

function listSecrets() {
  const headers = {};
  for (const [name, header] of Object.entries(HEADERS)) {
    const secret = loadSecret(name);
    if (!secret) continue;
    // a header has bytes, not characters
    const value = String.fromCharCode(...new TextEncoder().encode(secret));
    headers[header] = name === "token" ? `Bearer ${value}` : value;
  }
  return headers;
}

/** Return the error of a response without success. */
async function toError(response) {
  const { status } = response;
  if (status === 401) return new WriterError("This server needs a token.", { status });
  const answer = await response.json().catch(() => null);
  const isBusy = status === 429 || status === 503;
  const isGone = answer?.error?.code === "model_not_found";
  const message = isBusy ? "The server is busy. Try again in a moment."
    : isGone ? "This model was deleted, or is no longer shared." : answer?.error?.message;
  return new WriterError(message || `The server cannot do this (status ${status}).`, { status });
}

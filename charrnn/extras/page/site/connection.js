/** Requests to the server of `charrnn serve`, with the token that the reader has entered. */

import { loadToken } from "./storage.js";
import { WriterError } from "./writer.js";

const RETRY_AFTER = 1000; // milliseconds
const TRIES = 3; // of a request that a busy server has refused

/**
 * Return the response to a request. Throw a WriterError unless it is successful.
 *
 * @param {string} path
 * @param {object} [options]
 * @param {object} [options.body]  Sent as JSON, by POST.
 * @param {number[]} [options.allowed]  Statuses that are no error.
 * @param {AbortSignal} [options.signal]
 */
export async function request(path, { body, signal, allowed = [] } = {}) {
  const token = loadToken();
  const headers = {};
  const bytes = new TextEncoder().encode(token ?? ""); // a header has bytes, not characters
  if (token) headers.Authorization = `Bearer ${String.fromCharCode(...bytes)}`;
  if (body) headers["Content-Type"] = "application/json";
  const method = body ? "POST" : "GET";
  // a relative path also works behind a proxy that serves the page from a folder
  const options = { method, headers, signal, body: body && JSON.stringify(body) };
  const response = await fetch(path, options).catch((error) => {
    if (signal?.aborted) throw error;
    throw new WriterError("The server does not answer. Is “charrnn serve” still running?");
  });
  if (!response.ok && !allowed.includes(response.status)) throw await toError(response);
  return response;
}

/** Return the response to a request that nobody waits for: a busy server is asked again. */
export async function requestQuietly(path, options) {
  for (let tries = 1; ; tries++) {
    try {
      return await request(path, options);
    } catch (error) {
      error.isQuiet = error.status === 429;
      if (!error.isQuiet || tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
    }
  }
}

/** Return the error of a response without success. */
async function toError(response) {
  const { status } = response;
  if (status === 401) return new WriterError("This server needs a token.", { status });
  const answer = await response.json().catch(() => null);
  const isBusy = status === 429 || status === 503;
  const message = isBusy ? "The server is busy. Try again in a moment." : answer?.error?.message;
  return new WriterError(message || `The server cannot do this (status ${status}).`, { status });
}

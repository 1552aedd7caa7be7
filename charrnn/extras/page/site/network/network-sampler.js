/** Make a sampler of a packed model. */

import { CountedNetwork } from "./counts.js";
import { Network } from "./network.js";
import { unpackModel } from "./packed.js";
import { Sampler } from "./sampler.js";

/**
 * @param {string} text  A packed model.
 * @param {import("./counts.js").Counts | null} [counts]  Mixed with the network.
 */
export function createSampler(text, counts = null) {
  const model = unpackModel(text);
  const network = new Network(model);
  return new Sampler(model, counts ? new CountedNetwork(network, counts) : network);
}

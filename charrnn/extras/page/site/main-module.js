/** The model of an ES module (charrnn/extras/page/script_module.py). */

import { unpackCounts } from "./network/counts.js";
import { createSampler } from "./network/network-sampler.js";
import { makeInterface } from "./script-interface.js";

/**
 * Return the interface of a model for scripts.
 *
 * @param {string} packedModel
 * @param {string} packedCounts  "null" without counts.
 */
export async function openModel(packedModel, packedCounts) {
  const counts = await unpackCounts(packedCounts);
  if (!counts && packedCounts !== "null") {
    console.warn("This browser is too old for the counts in this model: only its network writes.");
  }
  return makeInterface(createSampler(packedModel, counts));
}

/**
 * A model's weights as a step reads them, as charrnn/generation/weights.py folds them: a batch
 * normalization is part of the weights that read it. With skip connections outputs are added up,
 * each times a slope of its own.
 */

const BATCHNORM_EPS = 1e-5; // PyTorch's default

/** @param {import("./packed.js").Model} model */
export function folded(model) {
  const { architecture, cell } = model;
  const { hidden_size: H, embedding_size: D, num_layers: L, skip } = architecture;
  const layers = [];
  let slope = null; // what is read is so many times what was computed, none: once
  let shift = null; // and so much more
  const shifts = new Float64Array(H); // of all outputs together
  for (let layer = 0; layer < L; layer++) {
    const weight = (name) => model.weight(`recurrent.${layer}.${name}`);
    const read = weight("weight_ih_l0");
    const columns = layer ? H : D;
    const bias = Float64Array.from(weight("bias_ih_l0"));
    if (shift) addProduct(bias, read, shift);
    const one = { read: slope ? scaled(read, slope) : read, columns, bias };
    one.own = weight("weight_hh_l0");
    const second = weight("bias_hh_l0");
    // the part of the bias that belongs to the recurrent sum of gates that are kept apart
    one.ownBias = new Float32Array(bias.length);
    for (let row = 0; row < bias.length; row++) {
      if (cell.apart.includes(cell.gates[Math.floor(row / H)])) one.ownBias[row] = second[row];
      else bias[row] += second[row];
    }
    ({ slope, shift } = normalization(model, layer));
    if (skip !== "none") {
      one.scale = Float32Array.from(slope ?? new Float64Array(H).fill(1));
      if (shift) shift.forEach((value, unit) => { shifts[unit] += value; });
      slope = null;
    }
    if (skip === "sum" && layer === L - 1) shift = shifts;
    layers.push(one);
  }
  const decoder = model.weight("decoder.weight");
  const decoderBias = Float64Array.from(model.weight("decoder.bias"));
  if (shift) addProduct(decoderBias, decoder, shift);
  return {
    layers,
    embedding: model.weight("embedding.weight"),
    decoder: slope ? scaled(decoder, slope) : decoder,
    decoderBias: Float32Array.from(decoderBias),
  };
}

/** The affine map of a layer's batch normalization, in double precision; nulls without one. */
function normalization(model, layer) {
  if (!model.architecture.batchnorm) return { slope: null, shift: null };
  const of = (name) => Float64Array.from(model.weight(`norms.${layer}.${name}`));
  const variance = of("running_var");
  const mean = of("running_mean");
  const slope = of("weight").map((value, i) => value / Math.sqrt(variance[i] + BATCHNORM_EPS));
  return { slope, shift: of("bias").map((value, i) => value - mean[i] * slope[i]) };
}

/** Add to sums the product of a matrix (row after row) and a vector. */
export function addProduct(sums, matrix, vector) {
  for (let row = 0, at = 0; row < sums.length; row++) {
    let sum = 0;
    for (let column = 0; column < vector.length; column++) sum += matrix[at++] * vector[column];
    sums[row] += sum;
  }
}

/** A matrix with each column times a number. */
function scaled(matrix, slope) {
  return matrix.map((value, at) => value * slope[at % slope.length]);
}

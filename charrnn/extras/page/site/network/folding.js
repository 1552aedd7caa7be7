/**
 * Fold a model's weights, like charrnn/generation/numpy_network.py: a batch normalization becomes
 * part of the weights that read its output. With skip connections, each layer's output is scaled
 * and all are added.
 */

/** @param {import("./packed.js").Model} model */
export function fold(model) {
  const { architecture, cell } = model;
  const { hidden_size: H, embedding_size: D, num_layers: L, skip } = architecture;
  const layers = [];
  // the layer below is normalized as slope * output + shift; null: there is no normalization
  let slope = null;
  let shift = null;
  const shifts = new Float64Array(H); // the sum of all layers' shifts
  for (let index = 0; index < L; index++) {
    const weight = (name) => model.weight(`recurrent.${index}.${name}`);
    const input = weight("weight_ih_l0");
    const bias = Float64Array.from(weight("bias_ih_l0"));
    if (shift) addProduct(bias, input, shift);
    const layer = {
      input: slope ? scaleColumns(input, slope) : input,
      columns: index ? H : D,
      recurrent: weight("weight_hh_l0"),
      bias,
      hiddenBias: new Float32Array(bias.length), // only for the gates with separate sums
    };
    weight("bias_hh_l0").forEach((value, row) => {
      const gate = cell.gates[Math.floor(row / H)];
      const sums = cell.separate_sums.includes(gate) ? layer.hiddenBias : bias;
      sums[row] += value;
    });
    ({ slope, shift } = readNormalization(model, index));
    if (skip !== "none") {
      layer.scale = Float32Array.from(slope ?? new Float64Array(H).fill(1));
      if (shift) shift.forEach((value, unit) => { shifts[unit] += value; });
      slope = null;
    }
    if (skip === "sum" && index === L - 1) shift = shifts;
    layers.push(layer);
  }
  const decoder = model.weight("decoder.weight");
  const decoderBias = Float64Array.from(model.weight("decoder.bias"));
  if (shift) addProduct(decoderBias, decoder, shift);
  return {
    layers,
    embedding: model.weight("embedding.weight"),
    decoder: slope ? scaleColumns(decoder, slope) : decoder,
    decoderBias: Float32Array.from(decoderBias),
  };
}

/** Return a layer's batch normalization as an affine map in double precision, or nulls. */
function readNormalization(model, layer) {
  if (!model.architecture.batchnorm) return { slope: null, shift: null };
  const read = (name) => Float64Array.from(model.weight(`norms.${layer}.${name}`));
  const variance = read("running_var");
  const mean = read("running_mean");
  const { batchnorm_eps: epsilon } = model.constants;
  const slope = read("weight").map((value, i) => value / Math.sqrt(variance[i] + epsilon));
  return { slope, shift: read("bias").map((value, i) => value - mean[i] * slope[i]) };
}

/** Add the product of a matrix, stored row by row, and a vector to sums. */
export function addProduct(sums, matrix, vector) {
  for (let row = 0, i = 0; row < sums.length; row++) {
    let sum = 0;
    for (let column = 0; column < vector.length; column++) sum += matrix[i++] * vector[column];
    sums[row] += sum;
  }
}

/** Return a matrix, stored row by row, with each column multiplied by a number. */
function scaleColumns(matrix, slope) {
  return matrix.map((value, i) => value * slope[i % slope.length]);
}

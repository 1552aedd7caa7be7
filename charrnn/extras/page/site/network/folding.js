/**
 * Fold a model's weights, as charrnn/generation/numpy_network.py does: a batch normalization becomes
 * part of the weights that read its output. With skip connections the outputs of all layers are
 * added, each times its scale.
 */

const BATCHNORM_EPS = 1e-5; // PyTorch's default

/** @param {import("./packed.js").Model} model */
export function fold(model) {
  const { architecture, cell } = model;
  const { hidden_size: H, embedding_size: D, num_layers: L, skip } = architecture;
  const layers = [];
  // the batch normalization of the layer below is slope * output + shift; null: there is none
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
      hiddenBias: new Float32Array(bias.length), // of the gates with separate sums
    };
    weight("bias_hh_l0").forEach((value, row) => {
      const gate = cell.gates[Math.floor(row / H)];
      const sums = cell.separate_sums.includes(gate) ? layer.hiddenBias : bias;
      sums[row] += value;
    });
    ({ slope, shift } = normalization(model, index));
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
function normalization(model, layer) {
  if (!model.architecture.batchnorm) return { slope: null, shift: null };
  const of = (name) => Float64Array.from(model.weight(`norms.${layer}.${name}`));
  const variance = of("running_var");
  const mean = of("running_mean");
  const slope = of("weight").map((value, i) => value / Math.sqrt(variance[i] + BATCHNORM_EPS));
  return { slope, shift: of("bias").map((value, i) => value - mean[i] * slope[i]) };
}

/** Add the product of a matrix, given row after row, and a vector to sums. */
export function addProduct(sums, matrix, vector) {
  for (let row = 0, at = 0; row < sums.length; row++) {
    let sum = 0;
    for (let column = 0; column < vector.length; column++) sum += matrix[at++] * vector[column];
    sums[row] += sum;
  }
}

/** Return a matrix with each column times a number. */
function scaleColumns(matrix, slope) {
  return matrix.map((value, at) => value * slope[at % slope.length]);
}

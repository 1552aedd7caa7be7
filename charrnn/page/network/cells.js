/**
 * A step of each recurrent cell, as charrnn/generation/numpy_layers.py has them.
 *
 * It gets the sums of its gates and leaves the gates themselves in their place, so that
 * they can be looked at:
 *
 *     gates    by letter, the sums (H,) of what a layer reads and of its own past
 *     carried  by letter, what the cell takes from one character to the next (H,)
 *     own      by letter, for gates that are kept apart the recurrent sum alone (H,)
 */

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

function allTanh(values) {
  // an exponential takes half as long as Math.tanh, and is as exact in single precision
  for (let i = 0; i < values.length; i++) values[i] = 1 - 2 / (1 + Math.exp(2 * values[i]));
}

function allSigmoid(values) {
  for (let i = 0; i < values.length; i++) values[i] = sigmoid(values[i]);
}

function stepLSTM({ i, f, g, o }, { h, c }) {
  for (let k = 0; k < c.length; k++) c[k] = i[k] * g[k] + f[k] * c[k];
  h.set(c);
  allTanh(h);
  for (let k = 0; k < h.length; k++) h[k] *= o[k];
}

/** By the kind of the cell. */
export const STEPS = {
  lstm(gates, carried) {
    for (const gate of [gates.i, gates.f, gates.o]) allSigmoid(gate);
    allTanh(gates.g);
    stepLSTM(gates, carried);
  },

  capped_lstm(gates, carried) {
    const { i, f, g, o } = gates;
    for (const gate of [i, f, o]) allSigmoid(gate);
    allTanh(g);
    for (let k = 0; k < i.length; k++) i[k] = Math.min(i[k], 1 - f[k]);
    stepLSTM(gates, carried);
  },

  gru({ r, z, n }, { h }, own) {
    allSigmoid(r);
    allSigmoid(z);
    for (let k = 0; k < n.length; k++) n[k] += r[k] * own.n[k];
    allTanh(n);
    for (let k = 0; k < h.length; k++) h[k] = n[k] + z[k] * (h[k] - n[k]);
  },

  rnn(gates, { h }) {
    allTanh(gates.h);
    h.set(gates.h);
  },

  mingru(gates, { h }) {
    allSigmoid(gates.z);
    for (let k = 0; k < h.length; k++) h[k] += gates.z[k] * (gates.h[k] - h[k]);
  },
};

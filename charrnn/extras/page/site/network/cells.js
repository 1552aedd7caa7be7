/**
 * One step of each recurrent cell, as in charrnn/generation/numpy_network.py.
 *
 * A step gets the sums of the gates and replaces them by the gates, because the pages show them:
 *
 *     gates          by letter, the sums (H,) of the layer's input and its recurrent input
 *     carried        by letter, the vectors (H,) that the cell carries to the next character
 *     recurrentSums  by letter, the recurrent input (H,) of the gates with separate sums
 */

/** The steps by the kind of the cell; packing.py reads the kinds from this file. */
export const STEPS = {
  lstm(kernel, { i, f, g, o }, { h, c }) {
    for (const gate of [i, f, o]) kernel.sigmoid(gate);
    kernel.tanh(g);
    for (let k = 0; k < c.length; k++) c[k] = i[k] * g[k] + f[k] * c[k];
    h.set(c);
    kernel.tanh(h);
    for (let k = 0; k < h.length; k++) h[k] *= o[k];
  },

  gru(kernel, { r, z, n }, { h }, recurrentSums) {
    kernel.sigmoid(r);
    kernel.sigmoid(z);
    for (let k = 0; k < n.length; k++) n[k] += r[k] * recurrentSums.n[k];
    kernel.tanh(n);
    for (let k = 0; k < h.length; k++) h[k] = n[k] + z[k] * (h[k] - n[k]);
  },

  rnn(kernel, gates, { h }) {
    kernel.tanh(gates.h);
    h.set(gates.h);
  },
};

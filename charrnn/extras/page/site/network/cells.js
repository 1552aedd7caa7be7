/**
 * A step of each recurrent cell, as charrnn/generation/numpy_engine.py has them.
 *
 * It gets the sums of its gates and leaves the gates themselves in their place, so that
 * they can be looked at:
 *
 *     gates    by letter, the sums (H,) of what a layer reads and of its own past
 *     carried  by letter, what the cell takes from one character to the next (H,)
 *     own      by letter, for gates that are kept apart the recurrent sum alone (H,)
 */

/** By the kind of the cell. */
export const STEPS = {
  lstm(kernel, { i, f, g, o }, { h, c }) {
    for (const gate of [i, f, o]) kernel.sigmoid(gate);
    kernel.tanh(g);
    for (let k = 0; k < c.length; k++) c[k] = i[k] * g[k] + f[k] * c[k];
    h.set(c);
    kernel.tanh(h);
    for (let k = 0; k < h.length; k++) h[k] *= o[k];
  },

  gru(kernel, { r, z, n }, { h }, own) {
    kernel.sigmoid(r);
    kernel.sigmoid(z);
    for (let k = 0; k < n.length; k++) n[k] += r[k] * own.n[k];
    kernel.tanh(n);
    for (let k = 0; k < h.length; k++) h[k] = n[k] + z[k] * (h[k] - n[k]);
  },

  rnn(kernel, gates, { h }) {
    kernel.tanh(gates.h);
    h.set(gates.h);
  },
};

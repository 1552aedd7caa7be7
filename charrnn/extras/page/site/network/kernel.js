/**
 * Products of a matrix and a vector, and the functions of gates: what a network spends its time on.
 *
 * Where the browser has WebAssembly with vectors of 128 bits they are computed by it, elsewhere by
 * plain JavaScript. All numbers lie in one memory, whose size is fixed when it is made.
 *
 * A matrix lies in panels of 32 rows, each column by column, so that the sums of 32 rows stay in
 * registers while its numbers are read one after the other.
 */

import { assembled } from "./assembling.js";
import { BYTES, LANES, PANEL, ROUTINES } from "./routines.js";

const PAGE = 65536; // bytes of a page of memory

/** A number of rows, filled up to whole panels. */
const filledUp = (rows) => Math.ceil(rows / PANEL) * PANEL;

export class Kernel {
  /**
   * @param {[number, number][]} matrices  Rows and columns of each matrix that will be placed.
   * @param {number[]} vectors  Lengths of the vectors.
   */
  constructor(matrices, vectors) {
    let numbers = 0;
    for (const [rows, columns] of matrices) numbers += filledUp(rows) * columns;
    for (const length of vectors) numbers += filledUp(length);
    const pages = Math.ceil((numbers * BYTES) / PAGE) || 1;
    const made = compiled(pages);
    this.compiled = made !== null; // whether WebAssembly computes
    const { buffer, routines } = made ?? plain(pages);
    this.buffer = buffer;
    this.routines = routines;
    this.used = 0; // bytes
  }

  /** Room for a vector, filled up to whole panels; it begins with zeros. */
  vector(length) {
    const vector = new Float32Array(this.buffer, this.used, length);
    this.used += BYTES * filledUp(length);
    return vector;
  }

  /** Place a matrix that is given row after row. */
  matrix(rows, columns, values) {
    const filled = filledUp(rows);
    const panels = new Float32Array(this.buffer, this.used, filled * columns);
    for (let row = 0, from = 0; row < rows; row++) {
      let to = (row - (row % PANEL)) * columns + (row % PANEL);
      for (let column = 0; column < columns; column++, from++, to += PANEL) {
        panels[to] = values[from];
      }
    }
    this.used += BYTES * filled * columns;
    return { at: panels.byteOffset, rows: filled, columns };
  }

  /** Add to a vector y the product of a matrix and a vector x, both made by this kernel. */
  addProduct(matrix, x, y) {
    const { at, rows, columns } = matrix;
    this.routines.addProduct(at, y.byteOffset, y.byteOffset + BYTES * rows,
      x.byteOffset, x.byteOffset + BYTES * columns);
  }

  /** Make of a vector of this kernel's, or a part of one, the sigmoid of each number. */
  sigmoid(vector) {
    this.#squash(this.routines.sigmoid, vector, plainSigmoid);
  }

  tanh(vector) {
    this.#squash(this.routines.tanh, vector, plainTanh);
  }

  #squash(routine, vector, plainly) {
    const whole = vector.length - (vector.length % LANES);
    const at = vector.byteOffset;
    if (whole) routine(at, at + BYTES * whole);
    for (let k = whole; k < vector.length; k++) vector[k] = plainly(vector[k]);
  }
}

const plainSigmoid = (x) => 1 / (1 + Math.exp(-x));
// an exponential takes half as long as Math.tanh, and is as exact in single precision
const plainTanh = (x) => 2 / (1 + Math.exp(-2 * x)) - 1;

/** The memory and the routines in WebAssembly; null where there is none, or none with vectors. */
function compiled(pages) {
  try {
    const memory = new WebAssembly.Memory({ initial: pages });
    const module = new WebAssembly.Module(assembled(ROUTINES));
    const { exports } = new WebAssembly.Instance(module, { page: { memory } });
    return { buffer: memory.buffer, routines: exports };
  } catch {
    return null;
  }
}

/** The same in plain JavaScript. */
function plain(pages) {
  const buffer = new ArrayBuffer(pages * PAGE);
  const numbers = new Float32Array(buffer);
  const sums = new Float32Array(PANEL);
  const each = (plainly) => (at, end) => {
    for (let k = at / BYTES; k < end / BYTES; k++) numbers[k] = plainly(numbers[k]);
  };
  const routines = {
    addProduct(w, y, yEnd, x, xEnd) {
      for (let from = w / BYTES, row = y / BYTES; row < yEnd / BYTES; row += PANEL) {
        sums.set(numbers.subarray(row, row + PANEL));
        for (let column = x / BYTES; column < xEnd / BYTES; column++) {
          const number = numbers[column];
          for (let k = 0; k < PANEL; k++) sums[k] += numbers[from++] * number;
        }
        numbers.set(sums, row);
      }
    },
    sigmoid: each(plainSigmoid),
    tanh: each(plainTanh),
  };
  return { buffer, routines };
}

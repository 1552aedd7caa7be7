/**
 * Products of a matrix and a vector, and the activation functions of gates, in WebAssembly with
 * 128-bit vectors. All numbers are in one memory of fixed size.
 *
 * A matrix is stored in panels of 32 rows, each column by column: the sums of 32 rows stay in
 * registers while the numbers of the panel are read in order.
 */

import { decodeBase64 } from "./packed.js";
import { ROUTINES } from "./routines.js";

const PAGE = 65536; // bytes in a page of WebAssembly memory
const PANEL = 32; // rows
const LANES = 4; // numbers in a vector
const BYTES = 4; // bytes in a number

/** Return a number of rows, rounded up to whole panels. */
const roundUpToPanels = (rows) => Math.ceil(rows / PANEL) * PANEL;

export class Kernel {
  /**
   * @param {[number, number][]} matrices  Rows and columns of all matrices that will be placed.
   * @param {number[]} vectors  Lengths of all vectors that will be allocated.
   * @throws {WebAssembly.CompileError} The browser has no vectors.
   */
  constructor(matrices, vectors) {
    let numbers = 0;
    for (const [rows, columns] of matrices) numbers += roundUpToPanels(rows) * columns;
    for (const length of vectors) numbers += roundUpToPanels(length);
    const memory = new WebAssembly.Memory({ initial: Math.ceil((numbers * BYTES) / PAGE) || 1 });
    const module = new WebAssembly.Module(decodeBase64(ROUTINES));
    this.routines = new WebAssembly.Instance(module, { page: { memory } }).exports;
    this.buffer = memory.buffer;
    this.used = 0; // bytes
  }

  /** Return a new vector of zeros; its memory is rounded up to whole panels. */
  allocateVector(length) {
    const vector = new Float32Array(this.buffer, this.used, length);
    this.used += BYTES * roundUpToPanels(length);
    return vector;
  }

  /** Copy a matrix, stored row by row, into panels, and return its place for `addProduct`. */
  placeMatrix(rows, columns, values) {
    const allRows = roundUpToPanels(rows);
    const panels = new Float32Array(this.buffer, this.used, allRows * columns);
    for (let row = 0, from = 0; row < rows; row++) {
      let to = (row - (row % PANEL)) * columns + (row % PANEL);
      for (let column = 0; column < columns; column++, from++, to += PANEL) {
        panels[to] = values[from];
      }
    }
    this.used += BYTES * allRows * columns;
    return { start: panels.byteOffset, rows: allRows, columns };
  }

  /** Add the product of a matrix and a vector x to a vector y, all in this kernel's memory. */
  addProduct(matrix, x, y) {
    const { start, rows, columns } = matrix;
    this.routines.addProduct(start, y.byteOffset, y.byteOffset + BYTES * rows,
      x.byteOffset, x.byteOffset + BYTES * columns);
  }

  /** Replace each number of a vector in this kernel's memory, or a part of it, by its sigmoid. */
  sigmoid(vector) {
    this.#activate(vector, 1, 0);
  }

  tanh(vector) {
    this.#activate(vector, 2, -1);
  }

  /** Replace each number x by scale / (1 + exp(-scale x)) + offset. */
  #activate(vector, scale, offset) {
    const inLanes = vector.length - (vector.length % LANES);
    const start = vector.byteOffset;
    if (inLanes) this.routines.activate(start, start + BYTES * inLanes, scale, offset);
    for (let k = inLanes; k < vector.length; k++) {
      vector[k] = scale / (1 + Math.exp(-scale * vector[k])) + offset;
    }
  }
}

/**
 * Products of a matrix and a vector, and the activation functions of gates.
 *
 * WebAssembly with 128-bit vectors computes them if the browser supports it, otherwise plain
 * JavaScript. All numbers are in one memory of fixed size.
 *
 * A matrix is stored in panels of 32 rows, each column by column: the sums of 32 rows stay in
 * registers while the numbers of the panel are read in order.
 */

import { assemble } from "./assembling.js";
import { BYTES, LANES, PANEL, ROUTINES } from "./routines.js";

const PAGE = 65536; // bytes in a page of WebAssembly memory

/** Return a number of rows, rounded up to whole panels. */
const roundUpToPanels = (rows) => Math.ceil(rows / PANEL) * PANEL;

export class Kernel {
  /**
   * @param {[number, number][]} matrices  Rows and columns of all matrices that will be placed.
   * @param {number[]} vectors  Lengths of all vectors that will be allocated.
   */
  constructor(matrices, vectors) {
    let numbers = 0;
    for (const [rows, columns] of matrices) numbers += roundUpToPanels(rows) * columns;
    for (const length of vectors) numbers += roundUpToPanels(length);
    const pages = Math.ceil((numbers * BYTES) / PAGE) || 1;
    const compiled = compileRoutines(pages);
    this.usesWebAssembly = compiled !== null;
    const { buffer, routines } = compiled ?? makePlainRoutines(pages);
    this.buffer = buffer;
    this.routines = routines;
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
    this.#apply(this.routines.sigmoid, vector, plainSigmoid);
  }

  tanh(vector) {
    this.#apply(this.routines.tanh, vector, plainTanh);
  }

  #apply(routine, vector, scalarFunction) {
    const inLanes = vector.length - (vector.length % LANES);
    const start = vector.byteOffset;
    if (inLanes) routine(start, start + BYTES * inLanes);
    for (let k = inLanes; k < vector.length; k++) vector[k] = scalarFunction(vector[k]);
  }
}

const plainSigmoid = (x) => 1 / (1 + Math.exp(-x));
// Math.exp takes half the time of Math.tanh, and is as exact in single precision
const plainTanh = (x) => 2 / (1 + Math.exp(-2 * x)) - 1;

/** Return memory and routines in WebAssembly; null if the browser lacks it or its vectors. */
function compileRoutines(pages) {
  try {
    const memory = new WebAssembly.Memory({ initial: pages });
    const module = new WebAssembly.Module(assemble(ROUTINES));
    const { exports } = new WebAssembly.Instance(module, { page: { memory } });
    return { buffer: memory.buffer, routines: exports };
  } catch {
    return null;
  }
}

/** Return memory and routines in plain JavaScript. */
function makePlainRoutines(pages) {
  const buffer = new ArrayBuffer(pages * PAGE);
  const numbers = new Float32Array(buffer);
  const sums = new Float32Array(PANEL);
  const applyToEach = (scalarFunction) => (start, end) => {
    for (let k = start / BYTES; k < end / BYTES; k++) numbers[k] = scalarFunction(numbers[k]);
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
    sigmoid: applyToEach(plainSigmoid),
    tanh: applyToEach(plainTanh),
  };
  return { buffer, routines };
}

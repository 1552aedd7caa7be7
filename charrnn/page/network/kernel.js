/**
 * Products of a matrix and a vector, which is what a network spends its time on.
 *
 * Where the browser has WebAssembly with vectors of 128 bits they are computed by it, elsewhere by
 * plain JavaScript. All numbers lie in one memory, whose size is fixed when it is made.
 *
 * A matrix lies in panels of 32 rows, each column by column, so that the sums of 32 rows stay in
 * registers while its numbers are read one after the other.
 */

import { assembled } from "./assembling.js";

const PANEL = 32; // rows
const LANES = 4; // numbers in a vector of 128 bits
const PAGE = 65536; // bytes
const VECTORS = Array.from({ length: PANEL / LANES }, (_, index) => index);
const BYTES = 4; // of a number

/** y += W x; see `Kernel.addProduct`. */
const ADD_PRODUCT = {
  name: "addProduct",
  parameters: ["w", "y", "yEnd", "x", "xEnd"],
  locals: {
    column: "i32",
    number: "v128",
    ...Object.fromEntries(VECTORS.map((index) => [`sum${index}`, "v128"])),
  },
  body: `
    loop
      ${VECTORS.map((index) => `
        local.get y
        v128.load ${16 * index}
        local.set sum${index}`).join("")}
      local.get x
      local.set column
      loop
        local.get column
        v128.load32_splat 0
        local.set number
        ${VECTORS.map((index) => `
          local.get w
          v128.load ${16 * index}
          local.get number
          f32x4.mul
          local.get sum${index}
          f32x4.add
          local.set sum${index}`).join("")}
        local.get w
        i32.const ${BYTES * PANEL}
        i32.add
        local.set w
        local.get column
        i32.const ${BYTES}
        i32.add
        local.tee column
        local.get xEnd
        i32.lt_u
        br_if 0
      end
      ${VECTORS.map((index) => `
        local.get y
        local.get sum${index}
        v128.store ${16 * index}`).join("")}
      local.get y
      i32.const ${BYTES * PANEL}
      i32.add
      local.tee y
      local.get yEnd
      i32.lt_u
      br_if 0
    end`,
};

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
    const { buffer, addProduct } = made ?? plain(pages);
    this.buffer = buffer;
    this.run = addProduct;
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
    this.run(at, y.byteOffset, y.byteOffset + BYTES * rows,
      x.byteOffset, x.byteOffset + BYTES * columns);
  }
}

/** The memory and the product in WebAssembly; null where there is none, or none with vectors. */
function compiled(pages) {
  try {
    const memory = new WebAssembly.Memory({ initial: pages });
    const module = new WebAssembly.Module(assembled([ADD_PRODUCT]));
    const { exports } = new WebAssembly.Instance(module, { page: { memory } });
    return { buffer: memory.buffer, addProduct: exports.addProduct };
  } catch {
    return null;
  }
}

/** The same in plain JavaScript. */
function plain(pages) {
  const buffer = new ArrayBuffer(pages * PAGE);
  const numbers = new Float32Array(buffer);
  const sums = new Float32Array(PANEL);
  return {
    buffer,
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
  };
}

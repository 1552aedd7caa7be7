/**
 * The routines of `Kernel` in the text format of WebAssembly. A 128-bit vector holds four numbers.
 */

export const PANEL = 32; // rows of a matrix whose sums are in registers at the same time
export const LANES = 4; // numbers in a vector
export const BYTES = 4; // bytes in a number

const VECTORS = Array.from({ length: PANEL / LANES }, (_, index) => index);

/** y += W x. */
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

const HIGH_LN_2 = 0.693359375; // has few binary digits, so that its multiples are exact
const LOW_LN_2 = Math.LN2 - HIGH_LN_2;
const LARGEST = 87; // exp(87) still fits into single precision
const FACTORIALS = [1, 1, 2, 6, 24, 120, 720, 5040];

/** Return the code that puts the same number into each lane. */
const splat = (number) => `f32.const ${number} f32x4.splat`;

/**
 * Return the routine x = numerator / (1 + exp(-scale x)) + offset, in place: the sigmoid with 1, 1
 * and 0, tanh with 2, 2 and -1. exp(x) is 2 ** n exp(r) with |r| at most ln(2) / 2; the series of
 * exp(r) up to the seventh power is exact up to rounding.
 */
function makeActivation(name, { numerator, scale, offset }) {
  return {
    name,
    parameters: ["at", "end"],
    locals: { r: "v128", n: "v128" },
    body: `
      loop
        local.get at
        ${splat(numerator)}
        local.get at
        v128.load 0
        ${splat(-scale)} f32x4.mul
        ${splat(LARGEST)} f32x4.min
        ${splat(-LARGEST)} f32x4.max
        local.tee r
        local.get r
        ${splat(Math.LOG2E)} f32x4.mul
        f32x4.nearest
        local.tee n
        ${splat(HIGH_LN_2)} f32x4.mul f32x4.sub
        local.get n
        ${splat(LOW_LN_2)} f32x4.mul f32x4.sub
        local.set r
        ${splat(1 / FACTORIALS.at(-1))}
        ${FACTORIALS.slice(0, -1).reverse().map((factorial) => `
          local.get r f32x4.mul
          ${splat(1 / factorial)} f32x4.add`).join("")}
        local.get n i32x4.trunc_sat_f32x4_s
        i32.const 127 i32x4.splat i32x4.add
        i32.const 23 i32x4.shl
        f32x4.mul
        ${splat(1)} f32x4.add
        f32x4.div
        ${splat(offset)} f32x4.add
        v128.store 0
        local.get at
        i32.const ${BYTES * LANES}
        i32.add
        local.tee at
        local.get end
        i32.lt_u
        br_if 0
      end`,
  };
}

export const ROUTINES = [
  ADD_PRODUCT,
  makeActivation("sigmoid", { numerator: 1, scale: 1, offset: 0 }),
  makeActivation("tanh", { numerator: 2, scale: 2, offset: -1 }),
];

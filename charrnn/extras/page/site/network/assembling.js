/** Assemble a WebAssembly module from functions in the flat form of its text format. */

/** The supported instructions: their bytes and their operands. */
const INSTRUCTIONS = {
  loop: { code: [0x03, 0x40], operands: [] },
  end: { code: [0x0b], operands: [] },
  br_if: { code: [0x0d], operands: ["number"] },
  "local.get": { code: [0x20], operands: ["local"] },
  "local.set": { code: [0x21], operands: ["local"] },
  "local.tee": { code: [0x22], operands: ["local"] },
  "i32.const": { code: [0x41], operands: ["signed"] },
  "i32.lt_u": { code: [0x49], operands: [] },
  "i32.add": { code: [0x6a], operands: [] },
  "f32.const": { code: [0x43], operands: ["float"] },
  "v128.load": { code: [0xfd, 0x00], operands: ["alignment", "number"] },
  "v128.load32_splat": { code: [0xfd, 0x09], operands: ["alignment", "number"] },
  "v128.store": { code: [0xfd, 0x0b], operands: ["alignment", "number"] },
  "i32x4.splat": { code: [0xfd, 0x11], operands: [] },
  "i32x4.shl": { code: [0xfd, 0xab, 0x01], operands: [] },
  "i32x4.add": { code: [0xfd, 0xae, 0x01], operands: [] },
  "i32x4.trunc_sat_f32x4_s": { code: [0xfd, 0xf8, 0x01], operands: [] },
  "f32x4.splat": { code: [0xfd, 0x13], operands: [] },
  "f32x4.nearest": { code: [0xfd, 0x6a], operands: [] },
  "f32x4.add": { code: [0xfd, 0xe4, 0x01], operands: [] },
  "f32x4.sub": { code: [0xfd, 0xe5, 0x01], operands: [] },
  "f32x4.mul": { code: [0xfd, 0xe6, 0x01], operands: [] },
  "f32x4.div": { code: [0xfd, 0xe7, 0x01], operands: [] },
  "f32x4.min": { code: [0xfd, 0xe8, 0x01], operands: [] },
  "f32x4.max": { code: [0xfd, 0xe9, 0x01], operands: [] },
};
const TYPES = { i32: 0x7f, v128: 0x7b };
const ALIGNMENT = 2; // log2 of 4 bytes

/**
 * Return the bytes of a module that imports one memory.
 *
 * @param {{name: string, parameters: string[], locals: Record<string, string>, body: string}[]}
 *   functions  Parameters are i32; `locals` maps names to types; functions return nothing.
 */
export function assemble(functions) {
  const encodeList = (items) => [...encodeLeb(items.length), ...items.flat()];
  const encodeSection = (id, items) => {
    const content = encodeList(items);
    return [id, ...encodeLeb(content.length), ...content];
  };
  const encodeText = (text) => encodeList(Array.from(new TextEncoder().encode(text), (b) => [b]));
  return new Uint8Array([
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
    ...encodeSection(1, functions.map(({ parameters }) =>
      [0x60, ...encodeList(parameters.map(() => [TYPES.i32])), 0])),
    ...encodeSection(2, [
      [...encodeText("page"), ...encodeText("memory"), 0x02, 0x00, ...encodeLeb(1)],
    ]),
    ...encodeSection(3, functions.map((_, index) => encodeLeb(index))),
    ...encodeSection(7, functions.map(({ name }, index) =>
      [...encodeText(name), 0x00, ...encodeLeb(index)])),
    ...encodeSection(10, functions.map(encodeBody).map((code) =>
      [...encodeLeb(code.length), ...code])),
  ]);
}

function encodeBody({ parameters, locals, body }) {
  const types = Object.values(locals).flatMap((type) => [[...encodeLeb(1), TYPES[type]]]);
  const names = [...parameters, ...Object.keys(locals)];
  const encode = {
    number: (word) => encodeLeb(Number(word)),
    float: (word) => new Uint8Array(Float32Array.of(Number(word)).buffer),
    signed: (word) => encodeSignedLeb(Number(word)),
    local: (word) => encodeLeb(names.indexOf(word)),
    alignment: () => encodeLeb(ALIGNMENT),
  };
  const code = [];
  const words = body.split(/\s+/).filter(Boolean);
  while (words.length) {
    const { code: bytes, operands } = INSTRUCTIONS[words.shift()];
    code.push(...bytes);
    for (const kind of operands) {
      code.push(...encode[kind](kind === "alignment" ? "" : words.shift()));
    }
  }
  return [...encodeLeb(types.length), ...types.flat(), ...code, 0x0b];
}

/** Return the bytes of a number of 0 or more in LEB128. */
function encodeLeb(number) {
  const bytes = [];
  do {
    bytes.push((number & 0x7f) | (number > 0x7f ? 0x80 : 0));
    number >>>= 7;
  } while (number);
  return bytes;
}

/** Return the bytes of a 32-bit number in signed LEB128. */
function encodeSignedLeb(number) {
  const bytes = [];
  while (number < -64 || number > 63) {
    bytes.push((number & 0x7f) | 0x80);
    number >>= 7;
  }
  return [...bytes, number & 0x7f];
}

/** Makes a WebAssembly module of one memory and functions in the flat form of its text format. */

/** The instructions that are known: their bytes, and what follows them. */
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
const ALIGNMENT = 2; // a power of two: of 4 bytes

/**
 * The bytes of a module.
 *
 * @param {{name: string, parameters: string[], locals: Record<string, string>, body: string}[]}
 *   functions  Parameters are of i32; a local's name gives its type; nothing is returned.
 */
export function assembled(functions) {
  const counted = (items) => [...leb(items.length), ...items.flat()];
  const section = (id, items) => {
    const content = counted(items);
    return [id, ...leb(content.length), ...content];
  };
  const text = (string) => counted([...new TextEncoder().encode(string)].map((byte) => [byte]));
  return new Uint8Array([
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
    ...section(1, functions.map(({ parameters }) =>
      [0x60, ...counted(parameters.map(() => [TYPES.i32])), 0])),
    ...section(2, [[...text("page"), ...text("memory"), 0x02, 0x00, ...leb(1)]]),
    ...section(3, functions.map((_, index) => leb(index))),
    ...section(7, functions.map(({ name }, index) => [...text(name), 0x00, ...leb(index)])),
    ...section(10, functions.map((one) => {
      const code = bodyOf(one);
      return [...leb(code.length), ...code];
    })),
  ]);
}

function bodyOf({ parameters, locals, body }) {
  const types = Object.values(locals).flatMap((type) => [[...leb(1), TYPES[type]]]);
  const places = [...parameters, ...Object.keys(locals)];
  const encode = {
    number: (word) => leb(Number(word)),
    float: (word) => new Uint8Array(Float32Array.of(Number(word)).buffer),
    signed: (word) => signedLeb(Number(word)),
    local: (word) => leb(places.indexOf(word)),
    alignment: () => leb(ALIGNMENT),
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
  return [...leb(types.length), ...types.flat(), ...code, 0x0b];
}

/** A number from 0 on, in LEB128. */
function leb(number) {
  const bytes = [];
  do {
    bytes.push((number & 0x7f) | (number > 0x7f ? 0x80 : 0));
    number >>>= 7;
  } while (number);
  return bytes;
}

/** A number of 32 bits, in signed LEB128. */
function signedLeb(number) {
  const bytes = [];
  while (number < -64 || number > 63) {
    bytes.push((number & 0x7f) | 0x80);
    number >>= 7;
  }
  return [...bytes, number & 0x7f];
}

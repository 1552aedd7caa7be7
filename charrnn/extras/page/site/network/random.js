/**
 * The random numbers of NumPy: `Generator(PCG64(SeedSequence(seed, spawn_key=(sample,))))`.
 *
 * SeedSequence is M. E. O'Neill's seed_seq_fe (2015), PCG64 her XSL-RR 128/64 (2014). Both follow
 * NumPy, so that a seed gives the same numbers in Python and in the page.
 */

const POOL = 4; // words
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;
const LARGEST_SEED = 2n ** 63n - 1n;

/** Return a hash function of one word, whose constant changes with each call. */
function makeHash(constant, multiplier) {
  return (word) => {
    word ^= constant;
    constant = Math.imul(constant, multiplier);
    word = Math.imul(word, constant);
    return word ^ (word >>> 16);
  };
}

function mixWords(first, second) {
  const word = Math.imul(first, 0xca01f9dd) - Math.imul(second, 0x4973f715);
  return word ^ (word >>> 16);
}

/** Return the 32-bit words of a whole number, the lowest first; at least one. */
function toWords(number) {
  const words = [];
  do {
    words.push(Number(number & 0xffffffffn));
    number >>= 32n;
  } while (number);
  return words;
}

/** Return the words of `SeedSequence(seed, spawn_key=(key,)).generate_state(count)`. */
function generateSeedWords(seed, key, count) {
  const entropy = toWords(BigInt(seed));
  while (entropy.length < POOL) entropy.push(0);
  entropy.push(...toWords(BigInt(key)));
  const hash = makeHash(0x43b0d7e5, 0x931e8875);
  const pool = Array.from({ length: POOL }, (_, i) => hash(entropy[i]));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) {
      if (from !== to) pool[to] = mixWords(pool[to], hash(pool[from]));
    }
  }
  for (const word of entropy.slice(POOL)) {
    for (let to = 0; to < POOL; to++) pool[to] = mixWords(pool[to], hash(word));
  }
  const spread = makeHash(0x8b51f9dd, 0x58f38ded);
  return Array.from({ length: count }, (_, i) => spread(pool[i % POOL]) >>> 0);
}

/** The uniform random numbers in [0, 1) of one sample of a seed. */
export class Uniforms {
  /**
   * @param {number | bigint} seed  From 0 to 2 ** 63 - 1.
   * @param {number} sample  The number of the text, from 0.
   */
  constructor(seed, sample = 0) {
    if (BigInt(seed) < 0n || BigInt(seed) > LARGEST_SEED) {
      throw new RangeError("seed: must be between 0 and 2 ** 63 - 1");
    }
    const words = generateSeedWords(seed, sample, 8).map(BigInt);
    const number = (i) => words[i] | (words[i + 1] << 32n);
    const start = (number(0) << 64n) | number(2);
    this.increment = BigInt.asUintN(128, (((number(4) << 64n) | number(6)) << 1n) | 1n);
    this.state = this.increment;
    this.state += start;
    this.#step();
  }

  next() {
    this.#step();
    const high = this.state >> 64n;
    const folded = high ^ (this.state & 0xffffffffffffffffn);
    const rotation = high >> 58n;
    const bits = BigInt.asUintN(64, (folded >> rotation) | (folded << (64n - rotation)));
    return Number(bits >> 11n) * 2 ** -53;
  }

  #step() {
    this.state = BigInt.asUintN(128, this.state * MULTIPLIER + this.increment);
  }
}

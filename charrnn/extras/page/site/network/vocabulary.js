/** The characters that a model knows, and their ids, as charrnn/text/vocabulary.py has them. */

const FIRST_BYTE = 0xdc00; // a byte above 127 is this surrogate and its value, as in Python

export class Vocabulary {
  /**
   * @param {{tokens: string[], bytes: boolean}} plain  As model files hold it.
   * @param {Record<string, string>} [written]  What stands for a character that a keyboard lacks.
   * @param {Record<string, [string, string]>} [curly]  What stands for a keyboard's quotes where
   *   they open, and where they close.
   */
  constructor({ tokens, bytes }, written = {}, curly = {}) {
    this.written = new Map(Object.entries(written));
    this.curly = new Map(Object.entries(curly));
    this.isBytes = bytes;
    this.characters = bytes ? tokens.map(characterOfToken) : tokens;
    this.ids = new Map(this.characters.map((character, id) => [character, id]));
  }

  get size() {
    return this.characters.length;
  }

  /** The ids of a text's characters; -1 for what is unknown. */
  lookUp(text) {
    return Array.from(this.split(text), (character) => this.ids.get(character) ?? -1);
  }

  /**
   * The ids of a text's characters.
   *
   * @throws {RangeError} It names the first character that is unknown.
   */
  encode(text) {
    const ids = this.lookUp(text);
    const unknown = ids.indexOf(-1);
    if (unknown < 0) return ids;
    const character = [...this.split(text)][unknown];
    const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    throw new RangeError(`the character ${JSON.stringify(character)} (U+${code}) is not among the `
      + `${this.size} that this model was trained on`);
  }

  /**
   * The characters of a text, each with the ids of what it is in known characters: itself, or the
   * nearest that is known, or nothing. As charrnn/text/prompt.py replaces them.
   *
   * @returns {{text: string, ids: number[]}[]}
   */
  fitted(text) {
    let before = "";
    return Array.from(text, (character) => {
      const ids = this.lookUp(character);
      const closes = /[^\s(\[—–-]/u.test(before);
      before = character;
      return { text: character, ids: ids.includes(-1) ? this.#nearest(character, closes) : ids };
    });
  }

  #nearest(character, closes) {
    const keyboard = this.written.get(character) ?? character;
    const withoutAccents = keyboard.normalize("NFKD").replace(/\p{M}/gu, "");
    const texts = [keyboard, withoutAccents];
    const cases = texts.flatMap((text) => [text.toUpperCase().toLowerCase(), text.toUpperCase()]);
    const space = /\s/u.test(character) && character !== "\r" ? " " : "";
    const [opening, closing] = this.curly.get(keyboard) ?? ["", ""];
    const quotes = (closes && character === keyboard ? closing : "") + opening;
    for (const text of [...texts, ...cases, space, ...quotes]) {
      const ids = this.lookUp(text);
      if (text && !ids.includes(-1)) return ids;
    }
    return [];
  }

  /**
   * Makes of ids, one by one, the characters that they are to a reader: of bytes those of UTF-8, as
   * soon as each is whole. What it returns takes an id, and whether it is the last one.
   */
  decoder() {
    if (!this.isBytes) return (id) => this.characters[id];
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true }); // that is a character, too
    return (id, last) => {
      const code = this.characters[id].charCodeAt(0);
      return utf8.decode(Uint8Array.of(code < 128 ? code : code - FIRST_BYTE), { stream: !last });
    };
  }

  /** The text of ids; a byte above 127 is a lone surrogate in it, as in Python. */
  decode(ids) {
    return Array.from(ids, (id) => this.characters[id]).join("");
  }

  /** A text in the characters that tokens are: of a vocabulary of bytes, its bytes. */
  split(text) {
    if (!this.isBytes) return text;
    return Array.from(text, (character) => {
      const code = character.codePointAt(0);
      if (code < 128 || (code > FIRST_BYTE + 127 && code < FIRST_BYTE + 256)) return character;
      return Array.from(new TextEncoder().encode(character), characterOfByte).join("");
    }).join("");
  }
}

function characterOfByte(byte) {
  return String.fromCharCode(byte < 128 ? byte : FIRST_BYTE + byte);
}

/** The character of a token of a vocabulary of bytes, which is [200] above 127. */
function characterOfToken(token) {
  const byte = token.match(/^\[([0-9]{1,3})\]$/);
  return byte ? characterOfByte(Number(byte[1])) : token;
}

/** The characters that a model knows and their ids, as in charrnn/text/vocabulary.py. */

const FIRST_BYTE = 0xdc00; // the surrogate of byte 0, as in Python; used for bytes above 127

export class Vocabulary {
  /**
   * @param {{tokens: string[], bytes: boolean}} plain  As in a model file.
   * @param {Record<string, string>} [marks]  MARKS of charrnn/text/prompt.py: the keyboard's
   *   characters for typographic marks.
   * @param {Record<string, [string, string]>} [curly]  CURLY there: opening and closing quotes for
   *   a keyboard's quote.
   */
  constructor({ tokens, bytes }, marks = {}, curly = {}) {
    this.marks = new Map(Object.entries(marks));
    this.curly = new Map(Object.entries(curly));
    this.isBytes = bytes;
    this.characters = bytes ? tokens.map(characterOfToken) : tokens;
    this.ids = new Map(this.characters.map((character, id) => [character, id]));
  }

  get size() {
    return this.characters.length;
  }

  /** Return the ids of a text's characters; -1 for unknown characters. */
  lookUp(text) {
    return Array.from(this.split(text), (character) => this.ids.get(character) ?? -1);
  }

  /**
   * Return the ids of a text's characters.
   *
   * @throws {RangeError} It names the first unknown character.
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
   * Return the characters of a text, each with the ids of known characters that replace it: itself,
   * or the nearest, or none. `fit_text` of charrnn/text/prompt.py does the same.
   *
   * @returns {{text: string, ids: number[]}[]}
   */
  fit(text) {
    let before = "";
    return Array.from(text, (character) => {
      const ids = this.lookUp(character);
      const closes = /[^\s(\[—–-]/u.test(before);
      before = character;
      return { text: character, ids: ids.includes(-1) ? this.#nearest(character, closes) : ids };
    });
  }

  #nearest(character, closes) {
    const keyboard = this.marks.get(character) ?? character;
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
   * Return a function that decodes ids one by one. It takes an id and whether it is the last, and
   * returns characters; of bytes those of UTF-8, as soon as they are complete.
   */
  decoder() {
    if (!this.isBytes) return (id) => this.characters[id];
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true }); // keep the mark
    return (id, last) => {
      const code = this.characters[id].charCodeAt(0);
      return utf8.decode(Uint8Array.of(code < 128 ? code : code - FIRST_BYTE), { stream: !last });
    };
  }

  /** Return the text of ids; a byte above 127 is a lone surrogate, as in Python. */
  decode(ids) {
    return Array.from(ids, (id) => this.characters[id]).join("");
  }

  /** Return a text as the characters of tokens; with a vocabulary of bytes, its bytes. */
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

/** Return the character of a token of a vocabulary of bytes, which is [200] above 127. */
function characterOfToken(token) {
  const byte = token.match(/^\[([0-9]{1,3})\]$/);
  return byte ? characterOfByte(Number(byte[1])) : token;
}

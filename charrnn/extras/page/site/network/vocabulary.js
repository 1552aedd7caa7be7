/** The characters of a model and their ids, as in charrnn/text/vocabulary.py. */

const FIRST_BYTE = 0xdc00; // byte 0 as a surrogate, as in Python; used for bytes above 127

export class Vocabulary {
  /**
   * @param {{tokens: string[], bytes: boolean}} content  As in a model file.
   * @param {Record<string, string>} [marks]  MARKS of charrnn/text/prompt.py: the keyboard
   *   characters for typographic marks.
   * @param {Record<string, [string, string]>} [curly]  CURLY of the same file: the opening and the
   *   closing quote for a keyboard quote.
   */
  constructor({ tokens, bytes }, marks = {}, curly = {}) {
    this.marks = new Map(Object.entries(marks));
    this.curly = new Map(Object.entries(curly));
    this.isBytes = bytes;
    this.characters = bytes ? tokens.map(tokenToCharacter) : tokens;
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
   * @throws {RangeError} Names the first unknown character.
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
   * Return the characters of a text, each with the ids to read: for an unknown character the ids
   * of the nearest known characters, or none. `fit_text` in Python does the same.
   *
   * @returns {{text: string, ids: number[]}[]}
   */
  fit(text) {
    let before = "";
    return Array.from(text, (character) => {
      const ids = this.lookUp(character);
      const isClosing = /[^\s(\[—–-]/u.test(before);
      before = character;
      const isKnown = !ids.includes(-1);
      return { text: character, ids: isKnown ? ids : this.#findNearest(character, isClosing) };
    });
  }

  /**
   * Return the ids of a text to continue. Unknown typographic marks become a keyboard's, or the
   * reverse.
   *
   * @throws {RangeError} Names the first other unknown character.
   */
  encodePrompt(text) {
    const isMark = (character) => this.marks.has(character) || this.curly.has(character);
    return this.fit(text).flatMap(({ text: character, ids }) =>
      (ids.length && isMark(character) ? ids : Array.from(this.encode(character))));
  }

  #findNearest(character, isClosing) {
    const keyboard = this.marks.get(character) ?? character;
    const withoutAccents = keyboard.normalize("NFKD").replace(/\p{M}/gu, "");
    const texts = [keyboard, withoutAccents];
    const cases = texts.flatMap((text) => [text.toUpperCase().toLowerCase(), text.toUpperCase()]);
    const space = /\s/u.test(character) && character !== "\r" ? " " : "";
    const [opening, closing] = this.curly.get(keyboard) ?? ["", ""];
    const quotes = (isClosing && character === keyboard ? closing : "") + opening;
    for (const text of [...texts, ...cases, space, ...quotes]) {
      const ids = this.lookUp(text);
      if (text && !ids.includes(-1)) return ids;
    }
    return [];
  }

  /**
   * Return a function that decodes ids one by one. It takes an id and whether it is the last, and
   * returns text: with a vocabulary of bytes, a character as soon as its bytes are complete.
   */
  makeDecoder() {
    if (!this.isBytes) return (id) => this.characters[id];
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true }); // keeps U+FEFF
    return (id, isLast) => {
      const code = this.characters[id].charCodeAt(0);
      return utf8.decode(Uint8Array.of(code < 128 ? code : code - FIRST_BYTE), { stream: !isLast });
    };
  }

  /** Return the text whose characters in this vocabulary are these, the reverse of `split`. */
  join(characters) {
    const decode = this.makeDecoder();
    const ids = Array.from(characters, (character) => this.ids.get(character));
    return ids.map((id, place) => decode(id, place === ids.length - 1)).join("");
  }

  /** Return a text as characters of this vocabulary: with a vocabulary of bytes, its bytes. */
  split(text) {
    if (!this.isBytes) return text;
    return Array.from(text, (character) => {
      const code = character.codePointAt(0);
      if (code < 128 || (code > FIRST_BYTE + 127 && code < FIRST_BYTE + 256)) return character;
      return Array.from(new TextEncoder().encode(character), byteToCharacter).join("");
    }).join("");
  }
}

function byteToCharacter(byte) {
  return String.fromCharCode(byte < 128 ? byte : FIRST_BYTE + byte);
}

/** Return the character of a token of a vocabulary of bytes; tokens above 127 look like [200]. */
function tokenToCharacter(token) {
  const byte = token.match(/^\[([0-9]{1,3})\]$/);
  return byte ? byteToCharacter(Number(byte[1])) : token;
}

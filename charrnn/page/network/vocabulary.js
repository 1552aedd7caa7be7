/** The characters that a model knows, and their ids, as charrnn/text/vocabulary.py has them. */

const FIRST_BYTE = 0xdc00; // a byte above 127 is this surrogate and its value, as in Python

export class Vocabulary {
  /** @param {{tokens: string[], bytes: boolean}} plain  As model files hold it. */
  constructor({ tokens, bytes }) {
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

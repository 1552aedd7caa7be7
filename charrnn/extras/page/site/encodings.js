/**
 * The encodings of older text files, and which of them a file probably has.
 *
 * The likely one is that in which the largest share of the characters beyond ASCII are frequent in
 * its languages: in Western ones single letters, in other alphabets two or more in a row.
 */

const SAMPLE = 65_536; // bytes that are decoded to choose an encoding
const SHARE_OF_NUL = 0.05; // of the bytes of UTF-16, at least, in languages with an alphabet
const MOST_CONTROLS = 0.01; // of the bytes of a text; other files have more
const BEYOND_ASCII = /[^\0-\x7f]/gu;

/** Name, languages, and characters beyond ASCII that are frequent in them. */
const ENCODINGS = [
  ["utf-8", "Unicode, damaged", /[^\0-\x7f\ufffd]/gu],
  ["windows-1252", "Western European", /(?<![à-ÿ])[äöüßÄÖÜéèàçêâîôëïñáíóúìòùåæøœã](?![à-ÿ])|[¿¡“”‘’«»–—…]/gu],
  ["macintosh", "Western European, Mac", /[äöüßÄÖÜéèàçêâôáúòùåæøœã“”‘’–—…]/gu],
  ["windows-1250", "Central European", /[áäéíóöúüýąćčďęěłńňőřśšťůűźžżŁŚČŠŽ]/gu],
  ["windows-1251", "Cyrillic", /[оеаинтсрвлкмдпуязыьбгчіїєў]{2,}/gu],
  ["koi8-r", "Russian, KOI8", /[оеаинтсрвлкмдпуязыьбгч]{2,}/gu],
  ["windows-1253", "Greek", /[α-ωάέήίόύώ]{2,}/gu],
  ["windows-1254", "Turkish", /[çğıöşüÇĞİÖŞÜâî]/gu],
  ["windows-1255", "Hebrew", /[אבדהוחיכלםמןנעפצקרשת]{2,}/gu],
  ["windows-1256", "Arabic", /[ابتةحدرسعفقكلمنهوي،]{2,}/gu],
  ["gb18030", "Chinese, simplified", /[的一是不了在人有我他这中大来上国个到说们为子和你地出道也时，。]/gu],
  ["big5", "Chinese, traditional", /[的一是不了在人有我他這中大來上國個到說們為子和你地出道也時，。]/gu],
  ["shift_jis", "Japanese", /[ぁ-んァ-ヶー。、]/gu],
  ["euc-jp", "Japanese, EUC", /[ぁ-んァ-ヶー。、]/gu],
  ["euc-kr", "Korean", /[이다는의에을가고를하은지도로한사기인나서어리자대시해그아일수라만게니있]/gu],
];

/** Return the likely encoding of bytes that are not UTF-8, and its languages; null if they are no text. */
export function guessEncoding(bytes) {
  const sample = bytes.subarray(0, SAMPLE);
  const nul = [0, 0]; // at even and at odd places
  let controls = 0;
  sample.forEach((byte, place) => {
    if (byte === 0) nul[place % 2]++;
    else if (byte < 9 || (byte > 13 && byte < 32)) controls++;
  });
  if (controls > MOST_CONTROLS * sample.length) return null;
  if (nul[0] + nul[1] > SHARE_OF_NUL * sample.length) {
    if (Math.min(...nul) > Math.max(...nul) / 2) return null;
    return nul[0] > nul[1] ? ["utf-16be", "Unicode"] : ["utf-16le", "Unicode"];
  }
  if (nul[0] + nul[1]) return null;
  const count = (text, pattern) => text.match(pattern)?.join("").length ?? 0;
  const shares = ENCODINGS.map(([name, , pattern]) => {
    const text = new TextDecoder(name).decode(sample);
    return count(text, pattern) / count(text, BEYOND_ASCII);
  });
  return ENCODINGS[shares.indexOf(Math.max(...shares))];
}

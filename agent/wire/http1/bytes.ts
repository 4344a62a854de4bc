/** Byte classes of RFC 9110 and small comparisons, shared by the parsers. */

function table(accepts: (byte: number) => boolean): Uint8Array {
  const t = new Uint8Array(256);
  for (let i = 0; i < 256; i++) t[i] = accepts(i) ? 1 : 0;
  return t;
}

/** tchar: what methods and header names are made of. */
export const TOKEN: Uint8Array = table((b) =>
  (b >= 48 && b <= 57) || (b >= 65 && b <= 90) || (b >= 97 && b <= 122) ||
  "!#$%&'*+-.^_`|~".includes(String.fromCharCode(b)) && b > 32 && b < 127
);

/** field-vchar, obs-text, space and tab. */
export const FIELD_VALUE: Uint8Array = table((b) => b === 9 || (b >= 32 && b !== 127));

/** Bytes that a request target may hold: visible ASCII. */
export const TARGET: Uint8Array = table((b) => b > 32 && b < 127);

/** Lower case of ASCII letters, other bytes as they are. */
export const LOWER: Uint8Array = (() => {
  const t = new Uint8Array(256);
  for (let i = 0; i < 256; i++) t[i] = i >= 65 && i <= 90 ? i + 32 : i;
  return t;
})();

/** Is `buf[start, end)` the (lower-case ASCII) word, in any case? */
export function equalsIgnoreCase(buf: Uint8Array, start: number, end: number, word: string): boolean {
  const length = word.length;
  if (end - start !== length) return false;
  for (let i = 0; i < length; i++) {
    if (LOWER[buf[start + i]!] !== word.charCodeAt(i)) return false;
  }
  return true;
}

/** Hex digit -> value, or 255. */
export const HEX: Uint8Array = (() => {
  const t = new Uint8Array(256).fill(255);
  for (let i = 0; i < 10; i++) t[48 + i] = i;
  for (let i = 0; i < 6; i++) t[65 + i] = t[97 + i] = 10 + i;
  return t;
})();

/**
 * Byte strings: one char per byte (latin1). Requests are read so, and rule texts are brought to the same form, because
 * Envoy compares bytes.
 */

// deno-lint-ignore no-control-regex
export const NOT_ASCII = /[^\x00-\x7f]/;

/** Rule text to the form in which requests are compared: one char per UTF-8 byte. */
export function toByteString(text: string): string {
  if (!NOT_ASCII.test(text)) return text;
  let out = "";
  for (const b of new TextEncoder().encode(text)) out += String.fromCharCode(b);
  return out;
}

/** The reverse, for regular expressions and for people; malformed UTF-8 becomes U+FFFD. */
export function fromByteString(bytes: string): string {
  if (!NOT_ASCII.test(bytes)) return bytes;
  const raw = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) raw[i] = bytes.charCodeAt(i);
  return new TextDecoder().decode(raw);
}

/** ASCII letters only, as Envoy folds. */
export function foldAscii(text: string): string {
  if (!NOT_ASCII.test(text)) return text.toLowerCase();
  return text.replace(/[A-Z]+/g, (s) => s.toLowerCase());
}

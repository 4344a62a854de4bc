/**
 * Foreign text (names, reasons, versions off the wire) fit for one line of a log or a terminal.
 *
 * @example
 * ```ts
 * import { oneLine } from "./one_line.ts";
 * oneLine("a\nb"); // a\u000ab
 * oneLine("too long", 3); // too…
 * ```
 */

const UNFIT = /[\p{Cc}\u2028\u2029]/u;
const ALL_UNFIT = /[\p{Cc}\u2028\u2029]/gu;

/** Line ends and other control characters as `\u` escapes; the end left out behind `most` characters. Default: no bound. */
export function oneLine(text: string, most = Infinity): string {
  const line = UNFIT.test(text) ? text.replaceAll(ALL_UNFIT, escaped) : text;
  return line.length <= most ? line : `${line.slice(0, most)}…`;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

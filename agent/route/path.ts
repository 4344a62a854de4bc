/**
 * Path normalisation as Envoy's `normalize_path` does it (measured against Envoy 1.40): dot segments of RFC 3986,
 * unreserved characters decoded (`%7E` becomes `~`), a few characters encoded, `\` read as `/`, `..;x` read as `..`.
 * `%2F` stays, double slashes stay.
 */

/** True when {@link normalizePath} would change nothing, decided by one scan. */
const NEEDS_WORK = /[%\\"<>^`{|}]|\/\.\.?(?:[/;]|$)/;

const ENCODE = /["<>^`{|}]/g;
const UNRESERVED = /%(?:2[dDeE]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aAeE])/g;
const STRAY_PERCENT = /%(?![0-9a-fA-F]{2})/g;
const DOT_WITH_PARAMETERS = /\/(\.\.?);[^/]*/g;

function encodeByte(c: string): string {
  return "%" + c.charCodeAt(0).toString(16).toUpperCase();
}

function decodeByte(escape: string): string {
  return String.fromCharCode(parseInt(escape.slice(1), 16));
}

/** Normalises a path that begins with `/` and has neither query nor fragment. Anything else comes back unchanged. */
export function normalizePath(path: string): string {
  if (!NEEDS_WORK.test(path)) return path;
  if (path.charCodeAt(0) !== 0x2f) return path;
  const text = path
    .replace(DOT_WITH_PARAMETERS, "/$1")
    .replaceAll("\\", "/")
    .replace(STRAY_PERCENT, "\0")
    .replace(UNRESERVED, decodeByte)
    // A stray percent sign must not become an escape by what was decoded behind it.
    .replace(/\0(?=[0-9a-fA-F]{2})/g, "%25")
    .replaceAll("\0", "%")
    .replace(ENCODE, encodeByte);
  return removeDotSegments(text);
}

function removeDotSegments(path: string): string {
  if (!/\/\.\.?(?:\/|$)/.test(path)) return path;
  const parts = path.split("/");
  const out: string[] = [];
  const last = parts.length - 1;
  for (let i = 1; i <= last; i++) {
    const part = parts[i] as string;
    if (part === "." || part === "..") {
      if (part === "..") out.pop();
      // A final dot segment leaves the directory's slash behind.
      if (i === last) out.push("");
    } else out.push(part);
  }
  return "/" + out.join("/");
}

/** Splits a request target in origin form into path and raw query; a fragment is dropped. */
export function splitTarget(target: string): { path: string; query: string | undefined } {
  const hash = target.indexOf("#");
  const text = hash < 0 ? target : target.slice(0, hash);
  const mark = text.indexOf("?");
  return mark < 0
    ? { path: text, query: undefined }
    : { path: text.slice(0, mark), query: text.slice(mark + 1) };
}

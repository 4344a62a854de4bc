/**
 * Regular expressions of rules: RE2 syntax, full match. re2js decides what is valid; a pattern that
 * {@link translate} can prove harmless runs on V8 or as string searches, any other on re2js's automaton, so that no
 * rule can make a request take exponential time.
 *
 * Texts are byte strings (see RequestView); a text with bytes above 127 is read as UTF-8 first, as RE2 does.
 *
 * @example
 * ```ts
 * import { compileRegex } from "./regex.ts";
 * const r = compileRegex("/api/v[0-9]+");
 * if ("error" in r) throw new Error(r.error);
 * r.test("/api/v1"); // true
 * r.test("/api/v1/x"); // false: the whole text must match
 * ```
 */
import type { RE2JS } from "re2js";
import { fromByteString, NOT_ASCII, toByteString } from "./byte_string.ts";
import { translate } from "./regex_translate.ts";

export interface CompiledRegex {
  readonly source: string;
  /** Which matcher does the work; for dumps and tests. */
  readonly engine: "glob" | "v8" | "re2";
  /** True when the whole text matches. */
  test(text: string): boolean;
  /** RE2's GlobalReplace; `\0` to `\9` name groups. */
  replaceAll(text: string, substitution: string): string;
}

let library: typeof RE2JS | undefined;

/** Loaded at the first pattern: it costs 8 ms and 4 MB at every start, and most rules have none. */
function loadRe2(): typeof RE2JS {
  // deno-lint-ignore law/ports no-process-global
  library ??= process.getBuiltinModule("node:module").createRequire(import.meta.url)("re2js").RE2JS;
  return library as typeof RE2JS;
}

/** Istio's limit. */
export const MAX_REGEX_LENGTH = 1024;

const cache = new Map<string, CompiledRegex | { readonly error: string }>();
const CACHE_LIMIT = 4096;

/** Compiles, or says what is wrong in RE2's words. Results are shared between equal patterns. */
export function compileRegex(re2: string): CompiledRegex | { readonly error: string } {
  const known = cache.get(re2);
  if (known !== undefined) return known;
  if (cache.size >= CACHE_LIMIT) cache.clear();
  const made = compileNew(re2);
  cache.set(re2, made);
  return made;
}

function compileNew(source: string): CompiledRegex | { readonly error: string } {
  // Outside of the try: a library that cannot be loaded is no mistake of the pattern.
  const re2 = loadRe2();
  let exact: RE2JS;
  try {
    exact = re2.compile(source);
  } catch (e) {
    return { error: e instanceof Error ? e.message.replace(/^error parsing regexp: /, "") : String(e) };
  }
  const replaceAll = (text: string, substitution: string) => replaceWith(exact, text, substitution);
  const slow = (text: string) => exact.testExact(fromByteString(text));
  const fast = translate(source);
  if (fast === undefined) return { source, engine: "re2", test: slow, replaceAll };
  if (fast.kind === "glob") {
    const test = globTest(fast.pieces);
    // `.` does not match a line feed, which no HTTP message can hold.
    return {
      source,
      engine: "glob",
      test: (text) => text.includes("\n") ? slow(text) : test(text),
      replaceAll,
    };
  }
  const native = new RegExp(`^(?:${fast.source})$`, "u");
  return {
    source,
    engine: "v8",
    test: (text) => isAscii(text) ? native.test(text) : slow(text),
    replaceAll,
  };
}

function isAscii(text: string): boolean {
  return !NOT_ASCII.test(text);
}

/** Text that begins with the first piece, ends with the last and has the others between them, in order. */
function globTest(pieces: readonly string[]): (text: string) => boolean {
  const head = pieces[0] as string;
  if (pieces.length === 1) return (text) => text === head;
  const tail = pieces[pieces.length - 1] as string;
  const middle = pieces.slice(1, -1);
  const least = head.length + tail.length;
  return (text) => {
    if (text.length < least || !text.startsWith(head) || !text.endsWith(tail)) return false;
    let from = head.length;
    const end = text.length - tail.length;
    for (const piece of middle) {
      const at = text.indexOf(piece, from);
      if (at < 0 || at + piece.length > end) return false;
      from = at + piece.length;
    }
    return true;
  };
}

function replaceWith(re: RE2JS, bytes: string, substitution: string): string {
  const text = fromByteString(bytes);
  const matcher = re.matcher(text);
  let out = "";
  let copied = 0;
  let lastEnd = -1;
  let from = 0;
  while (from <= text.length && matcher.find(from)) {
    const start = matcher.start();
    const end = matcher.end();
    if (start === end && start === lastEnd) {
      // RE2: no empty match right behind the previous match.
      from = end + 1;
      continue;
    }
    out += text.slice(copied, start) +
      substitute(substitution, (n) => n <= matcher.groupCount() ? matcher.group(n) ?? "" : "");
    copied = end;
    lastEnd = end;
    from = end > start ? end : end + 1;
  }
  return toByteString(out + text.slice(copied));
}

function substitute(substitution: string, group: (n: number) => string): string {
  return substitution.replace(/\\([0-9\\])/g, (_, c: string) => c === "\\" ? "\\" : group(Number(c)));
}

/** What is wrong with a substitution, in one clause. Source: RE2::CheckRewriteString. */
export function substitutionError(re2: string, substitution: string): string | undefined {
  const bad = /\\(?![0-9\\])/.exec(substitution);
  if (bad !== null) return `\\ at character ${bad.index + 1} must be followed by a digit or another \\`;
  const library = loadRe2();
  let groups: number;
  try {
    groups = library.compile(re2).groupCount();
  } catch {
    return undefined;
  }
  for (const m of substitution.matchAll(/\\([0-9])/g)) {
    if (Number(m[1]) > groups) {
      return `\\${m[1]} names a group that the pattern does not have (it has ${groups})`;
    }
  }
  return undefined;
}

/**
 * Conditions of a route: RouteMatch of the model becomes a list of {@link Condition}, each able to test a request and to
 * say in plain words why it failed. Semantics: Envoy's route matching (istio-semantics 1.5).
 *
 * @example
 * ```ts
 * import { compileMatch } from "./match.ts";
 * const conditions = compileMatch({ prefix: "/", headers: [{ name: "end-user", stringMatch: { exact: "jason" } }] });
 * // conditions[0].test(view) === false
 * // conditions[0].explain(view) === 'header end-user: wanted exact "jason", request has none'
 * ```
 */
import type { HeaderMatcher, QueryParameterMatcher, RouteMatch, StringMatcher } from "../model/model.ts";
import { foldAscii, fromByteString, toByteString } from "./byte_string.ts";
import { compileRegex } from "./regex.ts";
import type { RequestView } from "./types.ts";

export interface Condition {
  test(view: RequestView): boolean;
  /** Why it fails for this request. Only called when it does. */
  explain(view: RequestView): string;
}

export interface TextTest {
  test(text: string): boolean;
  /** `exact "jason"`, `prefix "/a"`, … */
  readonly wanted: string;
}

function quote(text: string): string {
  return JSON.stringify(fromByteString(text));
}

/** A regular expression that does not compile matches nothing; the validator has reported it. */
function regexTest(regex: string): TextTest {
  const compiled = compileRegex(regex);
  if ("error" in compiled) {
    return {
      test: () => false,
      wanted: `regex ${JSON.stringify(regex)} (which is invalid: ${compiled.error})`,
    };
  }
  return { test: (text) => compiled.test(text), wanted: `regex ${JSON.stringify(regex)}` };
}

/** A string matcher of the model as a function. */
export function compileString(m: StringMatcher): TextTest {
  if (m.safeRegex !== undefined) return regexTest(m.safeRegex.regex);
  const fold = m.ignoreCase === true;
  const prepare = (s: string) => fold ? foldAscii(toByteString(s)) : toByteString(s);
  const note = fold ? " (any case)" : "";
  if (m.exact !== undefined) {
    const want = prepare(m.exact);
    return {
      test: fold ? (s) => s.length === want.length && foldAscii(s) === want : (s) => s === want,
      wanted: `exact ${JSON.stringify(m.exact)}${note}`,
    };
  }
  if (m.prefix !== undefined) {
    const want = prepare(m.prefix);
    return {
      test: fold ? (s) => foldAscii(s).startsWith(want) : (s) => s.startsWith(want),
      wanted: `prefix ${JSON.stringify(m.prefix)}${note}`,
    };
  }
  if (m.suffix !== undefined) {
    const want = prepare(m.suffix);
    return {
      test: fold ? (s) => foldAscii(s).endsWith(want) : (s) => s.endsWith(want),
      wanted: `suffix ${JSON.stringify(m.suffix)}${note}`,
    };
  }
  const want = prepare(m.contains ?? "");
  return {
    test: fold ? (s) => foldAscii(s).includes(want) : (s) => s.includes(want),
    wanted: `containing ${JSON.stringify(m.contains ?? "")}${note}`,
  };
}

/** Path, then headers, then query parameters: cheap and telling ones first. */
export function compileMatch(match: RouteMatch): readonly Condition[] {
  const conditions: Condition[] = [];
  const path = pathCondition(match);
  if (path !== undefined) conditions.push(path);
  for (const h of match.headers ?? []) conditions.push(headerCondition(h));
  for (const q of match.queryParameters ?? []) conditions.push(queryCondition(q));
  return conditions;
}

function pathCondition(match: RouteMatch): Condition | undefined {
  const fold = match.caseSensitive === false;
  // Every path begins with `/`, so the prefix `/` (or none) asks nothing, except of `OPTIONS *`.
  if (match.prefix !== undefined) {
    if (match.prefix === "") return undefined;
    if (match.prefix === "/") {
      return {
        test: (view) => view.path.charCodeAt(0) === 0x2f,
        explain: (view) => `path: wanted prefix "/", request has ${quote(view.path)}`,
      };
    }
  }
  const text = match.safeRegex !== undefined
    ? regexTest(match.safeRegex.regex)
    : match.path !== undefined
    ? compileString({ exact: match.path, ignoreCase: fold })
    : match.prefix !== undefined
    ? compileString({ prefix: match.prefix, ignoreCase: fold })
    : match.pathSeparatedPrefix !== undefined
    ? segmentsTest(match.pathSeparatedPrefix, fold)
    : undefined;
  if (text === undefined) return undefined;
  return {
    test: (view) => text.test(view.path),
    explain: (view) => `path: wanted ${text.wanted}, request has ${quote(view.path)}`,
  };
}

/** The prefix alone, or followed by a slash: `/a` takes `/a` and `/a/b`, not `/ab`. */
function segmentsTest(prefix: string, fold: boolean): TextTest {
  const exact = compileString({ exact: prefix, ignoreCase: fold });
  const below = compileString({ prefix: `${prefix}/`, ignoreCase: fold });
  return {
    test: (text) => exact.test(text) || below.test(text),
    wanted: `${exact.wanted} or ${below.wanted}`,
  };
}

type Reader = (view: RequestView) => string | undefined;

/** Pseudo headers read the parsed view; `host` is another name of `:authority` in Envoy. */
function readerOf(name: string): { read: Reader; label: string } {
  switch (name) {
    case ":method":
      return { read: (v) => v.method, label: "method" };
    case ":scheme":
      return { read: (v) => v.scheme, label: "scheme" };
    case ":authority":
    case "host":
      return { read: (v) => v.authority, label: "authority" };
    case ":path":
      return { read: (v) => v.query === undefined ? v.path : `${v.path}?${v.query}`, label: ":path" };
  }
  return { read: (v) => v.header(name), label: `header ${name}` };
}

function headerCondition(m: HeaderMatcher): Condition {
  const { read, label } = readerOf(m.name.toLowerCase());
  const invert = m.invertMatch === true;
  const has = (value: string | undefined) => value === undefined ? "none" : quote(value);
  const emptyIfMissing = m.treatMissingHeaderAsEmpty === true;
  if (m.stringMatch === undefined && m.rangeMatch === undefined) {
    const want = (m.presentMatch ?? true) !== invert;
    return {
      test: (view) => (emptyIfMissing || read(view) !== undefined) === want,
      explain: (view) =>
        `${label}: wanted ${want ? "it to be present" : "it to be absent"}, request has ${has(read(view))}`,
    };
  }
  const text: TextTest = m.stringMatch !== undefined ? compileString(m.stringMatch) : rangeTest(m.rangeMatch);
  const test = (view: RequestView): boolean => {
    const value = read(view) ?? (emptyIfMissing ? "" : undefined);
    // Envoy: a missing header fails the condition whichever way it points.
    return value !== undefined && text.test(value) !== invert;
  };
  return {
    test,
    explain: (view) =>
      `${label}: wanted ${invert ? "anything but " : ""}${text.wanted}, request has ${has(read(view))}`,
  };
}

function rangeTest(range: { readonly start: number; readonly end: number } | undefined): TextTest {
  const { start, end } = range ?? { start: 0, end: 0 };
  return {
    test: (s) => /^-?\d+$/.test(s) && Number(s) >= start && Number(s) < end,
    wanted: `a whole number from ${start} up to, not including, ${end}`,
  };
}

/** First occurrence of a query parameter, raw; undefined when there is none. `a` and `a=` both give the empty text. */
export function queryParameter(query: string | undefined, name: string): string | undefined {
  if (query === undefined) return undefined;
  let from = 0;
  while (from <= query.length) {
    let end = query.indexOf("&", from);
    if (end < 0) end = query.length;
    if (query.startsWith(name, from)) {
      const after = from + name.length;
      if (after === end) return "";
      if (after < end && query.charCodeAt(after) === 0x3d) return query.slice(after + 1, end);
    }
    from = end + 1;
  }
  return undefined;
}

function queryCondition(m: QueryParameterMatcher): Condition {
  const name = toByteString(m.name);
  const label = `query parameter ${m.name}`;
  const has = (view: RequestView) => {
    const value = queryParameter(view.query, name);
    return value === undefined ? "none" : quote(value);
  };
  if (m.stringMatch === undefined) {
    const want = m.presentMatch ?? true;
    return {
      test: (view) => (queryParameter(view.query, name) !== undefined) === want,
      explain: (view) => `${label}: wanted it to be ${want ? "present" : "absent"}, request has ${has(view)}`,
    };
  }
  const text = compileString(m.stringMatch);
  return {
    test: (view) => {
      const value = queryParameter(view.query, name);
      return value !== undefined && text.test(value);
    },
    explain: (view) => `${label}: wanted ${text.wanted}, request has ${has(view)}`,
  };
}

/**
 * RouteMatch of any generation -> the model's (istio-semantics 6.8 and "points to watch" of 6.1): 0.8 wrote header matchers as
 * `value` and `regex`, 1.0 as `exact_match` and its like, v3 as `string_match`.
 *
 * A condition that cannot be tested here is a problem of the resource: a route that ignored it would take requests that are not
 * its own, one that never matched would give them to another.
 */
import type { HeaderMatcher, QueryParameterMatcher, RouteMatch, StringMatcher } from "../model/model.ts";
import { compileRegex } from "../route/regex.ts";
import type { Messages } from "../../protos/schema.ts";
import type { Findings } from "./values.ts";

/** By far the most frequent match; shared. */
const ANY: RouteMatch = { prefix: "/" };

export function decodeMatch(match: Messages["RouteMatch"], at: string, found: Findings): RouteMatch {
  refuseUntestable(match, at, found);
  const headers = match.headers.map((h, i) => decodeHeaderMatcher(h, `${at}.headers[${i}]`, found));
  if (match.connect_matcher !== null) {
    headers.push({ name: ":method", stringMatch: { exact: "CONNECT" } });
  }
  if (match.grpc !== null) {
    headers.push({ name: "content-type", stringMatch: { safeRegex: { regex: "application/grpc(\\+.*)?" } } });
  }
  const queryParameters = match.query_parameters.map((q, i) =>
    decodeQueryMatcher(q, `${at}.query_parameters[${i}]`, found)
  );
  const path = decodePath(match, at, found);
  const anyCase = match.case_sensitive !== null && !match.case_sensitive.value;
  if (headers.length === 0 && queryParameters.length === 0 && !anyCase) return path;
  return {
    ...path,
    ...(anyCase ? { caseSensitive: false } : {}),
    ...(headers.length === 0 ? {} : { headers }),
    ...(queryParameters.length === 0 ? {} : { queryParameters }),
  };
}

function decodePath(match: Messages["RouteMatch"], at: string, found: Findings): RouteMatch {
  if (match.prefix !== null) return match.prefix === "/" ? ANY : { prefix: match.prefix };
  if (match.path !== null) return { path: match.path };
  if (match.safe_regex !== null) {
    return { safeRegex: { regex: checkRegex(match.safe_regex.regex, `${at}.safe_regex.regex`, found) } };
  }
  // v2: ECMAScript, the whole path. What RE2 cannot read of it (look-ahead) is refused.
  if (match.regex !== null) return { safeRegex: { regex: checkRegex(match.regex, `${at}.regex`, found) } };
  if (match.path_separated_prefix !== null) return { pathSeparatedPrefix: match.path_separated_prefix };
  if (match.connect_matcher !== null) return { prefix: "" };
  if (match.path_match_policy !== null) {
    const policy = match.path_match_policy.name;
    found.problem(
      `${at}.path_match_policy`,
      `Cannot test path matcher "${policy}": it is not known here; wanted is prefix, path or safe_regex`,
    );
  } else {
    found.problem(
      at,
      "Cannot use a match without a path: none is set; wanted is prefix, path, safe_regex or path_separated_prefix",
    );
  }
  return ANY;
}

function refuseUntestable(match: Messages["RouteMatch"], at: string, found: Findings): void {
  const refuse = (field: string, what: string): void =>
    found.problem(
      `${at}.${field}`,
      `Cannot test ${what}: the agent does not know it; a match of path, headers and query parameters is wanted`,
    );
  if (match.runtime !== null && match.runtime.default_value < 100) {
    refuse("runtime", "a share of the requests");
  }
  const fraction = match.runtime_fraction?.default_value;
  if (match.runtime_fraction !== null && shareOf(fraction) < 1) {
    refuse("runtime_fraction", "a share of the requests");
  }
  if (match.tls_context !== null) refuse("tls_context", "the client's TLS");
  if (match.dynamic_metadata.length > 0) refuse("dynamic_metadata", "metadata of other filters (JWT claims)");
  if (match.filter_state.length > 0) refuse("filter_state", "the state of other filters");
  if (match.cookies.length > 0) refuse("cookies", "single cookies");
}

const DENOMINATORS = [100, 10_000, 1_000_000];

/** Between 0 and 1. */
export function shareOf(fraction: Messages["FractionalPercent"] | null | undefined): number {
  if (fraction === null || fraction === undefined) return 0;
  return fraction.numerator / (DENOMINATORS[fraction.denominator] ?? 100);
}

function decodeHeaderMatcher(
  m: Messages["HeaderMatcher"],
  at: string,
  found: Findings,
): HeaderMatcher {
  if (m.name === "") {
    found.problem(`${at}.name`, "Cannot test a header without a name: it is empty; a header name is wanted");
  }
  const common = {
    name: m.name.toLowerCase(),
    ...(m.invert_match ? { invertMatch: true } : {}),
    ...(m.treat_missing_header_as_empty ? { treatMissingHeaderAsEmpty: true } : {}),
  };
  if (m.range_match !== null) {
    return { ...common, rangeMatch: { start: m.range_match.start, end: m.range_match.end } };
  }
  const stringMatch = stringOf(m, at, found);
  if (stringMatch !== undefined) return { ...common, stringMatch };
  return { ...common, presentMatch: m.present_match ?? true };
}

function stringOf(m: Messages["HeaderMatcher"], at: string, found: Findings): StringMatcher | undefined {
  if (m.string_match !== null) return decodeString(m.string_match, `${at}.string_match`, found);
  if (m.exact_match !== null) return { exact: m.exact_match };
  if (m.prefix_match !== null) return { prefix: m.prefix_match };
  if (m.suffix_match !== null) return { suffix: m.suffix_match };
  if (m.contains_match !== null) return { contains: m.contains_match };
  if (m.safe_regex_match !== null) {
    return regexMatcher(m.safe_regex_match.regex, `${at}.safe_regex_match.regex`, found);
  }
  if (m.regex_match !== null) return regexMatcher(m.regex_match, `${at}.regex_match`, found);
  if (m.value === "" || m.present_match !== null) return undefined;
  return m.regex?.value === true ? regexMatcher(m.value, `${at}.value`, found) : { exact: m.value };
}

function decodeQueryMatcher(
  m: Messages["QueryParameterMatcher"],
  at: string,
  found: Findings,
): QueryParameterMatcher {
  const { name } = m;
  if (name === "") {
    found.problem(
      `${at}.name`,
      "Cannot test a query parameter without a name: it is empty; a name is wanted",
    );
  }
  if (m.string_match !== null) {
    return { name, stringMatch: decodeString(m.string_match, `${at}.string_match`, found) };
  }
  if (m.present_match !== null || m.value === "") return { name, presentMatch: m.present_match ?? true };
  const stringMatch = m.regex?.value === true
    ? regexMatcher(m.value, `${at}.value`, found)
    : { exact: m.value };
  return { name, stringMatch };
}

export function decodeString(m: Messages["StringMatcher"], at: string, found: Findings): StringMatcher {
  const any = m.ignore_case ? { ignoreCase: true } : {};
  if (m.exact !== null) return { exact: m.exact, ...any };
  if (m.prefix !== null) return { prefix: m.prefix, ...any };
  if (m.suffix !== null) return { suffix: m.suffix, ...any };
  if (m.contains !== null) return { contains: m.contains, ...any };
  if (m.safe_regex !== null) return regexMatcher(m.safe_regex.regex, `${at}.safe_regex.regex`, found);
  if (m.regex !== null) return regexMatcher(m.regex, `${at}.regex`, found);
  found.problem(
    at,
    `Cannot test a text matcher ${
      m.custom === null ? "without a pattern" : `"${m.custom.name}"`
    }: wanted is exact, prefix, suffix, contains or safe_regex`,
  );
  return { exact: "" };
}

function regexMatcher(regex: string, at: string, found: Findings): StringMatcher {
  return { safeRegex: { regex: checkRegex(regex, at, found) } };
}

/** The pattern itself; one that does not compile is a problem, or else its route would never match. */
export function checkRegex(regex: string, at: string, found: Findings): string {
  const compiled = compileRegex(regex);
  if ("error" in compiled) {
    found.problem(at, `Cannot use regex "${regex}": ${compiled.error}; RE2 syntax is wanted`);
  }
  return regex;
}

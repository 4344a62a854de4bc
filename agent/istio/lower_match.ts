/** HTTPMatchRequest -> RouteMatch (istio-semantics 1.4 and 1.5): the guards that compiling decides, and the conditions. */
import type {
  HeaderMatcher,
  QueryParameterMatcher,
  RouteMatch,
  StringMatcher as ModelStringMatcher,
} from "../model/model.ts";
import type { HTTPMatchRequest, ProxyContext, StringMatch } from "./resources.ts";

const ANY: RouteMatch = { prefix: "/" };

/** The reserved gateway name: the proxies themselves. */
export const MESH = "mesh";

/** Whether the match block can apply to this proxy on this port at all. */
export function guardsHold(match: HTTPMatchRequest, port: number, proxy: ProxyContext): boolean {
  if (match.port !== undefined && match.port !== 0 && match.port !== port) return false;
  if (match.gateways !== undefined && match.gateways.length > 0) {
    // Istio does not look at sourceLabels and sourceNamespace then.
    return match.gateways.includes(MESH);
  }
  if (match.sourceLabels !== undefined) {
    for (const [key, value] of Object.entries(match.sourceLabels)) {
      if (proxy.labels[key] !== value) return false;
    }
  }
  return match.sourceNamespace === undefined || match.sourceNamespace === "" ||
    match.sourceNamespace === proxy.namespace;
}

export function lowerMatch(match: HTTPMatchRequest | undefined): RouteMatch {
  if (match === undefined) return ANY;
  const headers: HeaderMatcher[] = [];
  const written = Object.entries(match.headers ?? {}).map(([key, value]) => ({ key, value, without: false }));
  for (const [key, value] of Object.entries(match.withoutHeaders ?? {})) {
    written.push({ key, value, without: true });
  }
  if (written.length > 1) written.sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
  for (const { key, value, without } of written) {
    const name = key.toLowerCase();
    const matcher = stringMatcher(value);
    if (matcher === undefined) {
      headers.push({ name, presentMatch: true, ...(without ? { invertMatch: true } : {}) });
    } else {
      headers.push({
        name,
        stringMatch: matcher,
        ...(without ? { invertMatch: true, treatMissingHeaderAsEmpty: true } : {}),
      });
    }
  }
  pushPseudo(headers, ":method", match.method);
  pushPseudo(headers, ":authority", match.authority);
  pushPseudo(headers, ":scheme", match.scheme);
  const queryParameters: QueryParameterMatcher[] = [];
  for (const name of Object.keys(match.queryParams ?? {}).sort()) {
    const matcher = stringMatcher(match.queryParams?.[name]);
    queryParameters.push(
      matcher === undefined ? { name, presentMatch: true } : { name, stringMatch: matcher },
    );
  }
  return {
    ...lowerPath(match.uri),
    ...(match.ignoreUriCase === true && match.uri != null ? { caseSensitive: false } : {}),
    ...(headers.length === 0 ? {} : { headers }),
    ...(queryParameters.length === 0 ? {} : { queryParameters }),
  };
}

/** Nothing behind such a route can be reached: Istio ends the list there. */
export function isCatchAll(match: RouteMatch): boolean {
  if (match.headers !== undefined || match.queryParameters !== undefined) return false;
  return match.prefix === "/" || match.safeRegex?.regex === ".*";
}

/** Undefined stands for a test of presence. */
export function stringMatcher(match: StringMatch | null | undefined): ModelStringMatcher | undefined {
  if (match === undefined || match === null) return undefined;
  if (match.exact !== undefined) return { exact: match.exact };
  if (match.prefix !== undefined) return { prefix: match.prefix };
  if (match.regex !== undefined && match.regex !== "*") return { safeRegex: { regex: match.regex } };
  return undefined;
}

function pushPseudo(headers: HeaderMatcher[], name: string, match: StringMatch | null | undefined): void {
  if (match === undefined || match === null) return;
  const matcher = stringMatcher(match);
  headers.push(matcher === undefined ? { name, presentMatch: true } : { name, stringMatch: matcher });
}

function lowerPath(uri: StringMatch | null | undefined): RouteMatch {
  if (uri?.exact !== undefined) return { path: uri.exact };
  if (uri?.prefix !== undefined) return { prefix: uri.prefix };
  if (uri?.regex !== undefined) return { safeRegex: { regex: uri.regex } };
  return ANY;
}

/**
 * Routes that can never be taken, within one VirtualService: Istio's own rows VS-W6 to VS-W9 (R156 to R159), and R406 for
 * conditions that an earlier one covers in other ways.
 */
import { type At, quote, type Remarks } from "./remark.ts";
import type { HTTPMatchRequest, StringMatch, VirtualServiceSpec } from "./resources.ts";

/** Conditions compared pairwise; a rule with more keeps only W6 to W8. */
const MAX_COMPARED = 1000;

type AnyMatch = Readonly<Record<string, unknown>>;
interface AnyRoute {
  readonly name?: string;
  readonly match?: readonly (AnyMatch | null)[];
}

interface Seen {
  readonly match: HTTPMatchRequest;
  readonly rule: string;
  readonly index: number;
}

export function judgeReach(spec: VirtualServiceSpec, at: At, out: Remarks): void {
  for (const field of ["http", "tls", "tcp"] as const) {
    const routes = (spec[field] ?? []) as readonly (AnyRoute | null)[];
    if (routes.length > 1 || (routes[0]?.match?.length ?? 0) > 1) {
      judgeRoutes(routes, at.to(field), out, field === "http");
    }
  }
}

function judgeRoutes(routes: readonly (AnyRoute | null)[], at: At, out: Remarks, http: boolean): void {
  const known = new Map<string, string>();
  const seen: Seen[] = [];
  let catchAll: string | undefined;
  for (const [i, route] of routes.entries()) {
    if (route === null) continue;
    const rule = route.name === undefined || route.name === "" ? `#${i}` : quote(route.name);
    const matches = route.match ?? [];
    if (matches.length === 0) {
      if (catchAll !== undefined) {
        out.add(
          "R156",
          at.to(i),
          `Rule ${rule} is never used: rule ${catchAll} before it has no match either`,
        );
      }
      catchAll ??= rule;
      continue;
    }
    let repeated = 0;
    for (const [j, match] of matches.entries()) {
      if (match === null) continue;
      const place = at.to(i).to("match").to(j);
      if (catchAll !== undefined) {
        out.add(
          "R157",
          place,
          `Match #${j} of rule ${rule} is never used: rule ${catchAll} before it has no match`,
        );
        continue;
      }
      const text = canonical(match);
      const earlier = known.get(text);
      if (earlier !== undefined) {
        repeated++;
        out.add("R158", place, `Match #${j} of rule ${rule} has no effect: it is the same as ${earlier}`);
        continue;
      }
      known.set(text, `match #${j} of rule ${rule}`);
      if (http && seen.length < MAX_COMPARED) {
        judgeCovered(match as HTTPMatchRequest, j, rule, seen, place, out);
        seen.push({ match: match as HTTPMatchRequest, rule, index: j });
      }
    }
    if (repeated > 0 && repeated === matches.length) {
      out.add(
        "R158",
        at.to(i),
        `Rule ${rule} is never used: each of its matches is given by an earlier rule`,
      );
    }
  }
}

function judgeCovered(
  match: HTTPMatchRequest,
  index: number,
  rule: string,
  seen: readonly Seen[],
  at: At,
  out: Remarks,
): void {
  for (const earlier of seen) {
    const byPrefix = prefixOverlaps(earlier.match, match);
    if (!byPrefix && !covers(earlier.match, match)) continue;
    const where = `match #${earlier.index} of rule ${earlier.rule}`;
    if (byPrefix) {
      out.add(
        "R159",
        at,
        `Match #${index} of rule ${rule} is never used: its uri ${quote(match.uri?.prefix)} begins with ` +
          `${quote(earlier.match.uri?.prefix)} of ${where}`,
      );
    } else {
      out.add("R406", at, `Match #${index} of rule ${rule} is never used: ${where} takes all its requests`);
    }
    return;
  }
}

/** VS-W9, in Istio's own, somewhat loose comparison. */
function prefixOverlaps(a: HTTPMatchRequest, b: HTTPMatchRequest): boolean {
  const [prefixA, prefixB] = [a.uri?.prefix, b.uri?.prefix];
  if (prefixA === undefined || prefixB === undefined || !prefixB.startsWith(prefixA)) return false;
  if ((a.port ?? 0) !== (b.port ?? 0)) return false;
  if (!textFits(textOf(a.method, "GET"), textOf(b.method, "GET"))) return false;
  if (!textFits(textOf(a.authority, ""), textOf(b.authority, ""))) return false;
  // Conditions that Istio's comparison leaves out must be no obstacle, or the warning would be wrong.
  if (!guardsCover(a, b) || a.scheme !== undefined) return false;
  return mapsFit(a.headers, b.headers) && mapsFit(a.queryParams, b.queryParams) &&
    mapsFit(a.withoutHeaders, b.withoutHeaders);
}

const textFits = (a: string, b: string) => a === b || a.startsWith(b);
const textOf = (match: StringMatch | null | undefined, absent: string) =>
  match?.exact ?? match?.prefix ?? match?.regex ?? absent;

type Conditions = Readonly<Record<string, StringMatch | null>> | undefined;

function mapsFit(a: Conditions = {}, b: Conditions = {}): boolean {
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && textFits(textOf(a[key], ""), textOf(b[key], "")));
}

/** Whether every request that fits `b` fits `a` as well; false when in doubt. */
export function covers(a: HTTPMatchRequest, b: HTTPMatchRequest): boolean {
  if (!guardsCover(a, b) || !uriCovers(a, b)) return false;
  for (const field of ["scheme", "method", "authority"] as const) {
    const wanted = a[field];
    if (wanted !== undefined && !stringCovers(wanted, b[field])) return false;
  }
  for (const field of ["headers", "queryParams"] as const) {
    const [left, right] = [a[field] ?? {}, b[field] ?? {}];
    for (const key of Object.keys(left)) {
      if (!stringCovers(left[key] ?? {}, Object.hasOwn(right, key) ? right[key] ?? {} : undefined)) {
        return false;
      }
    }
  }
  const [left, right] = [a.withoutHeaders ?? {}, b.withoutHeaders ?? {}];
  return Object.keys(left).every((key) =>
    Object.hasOwn(right, key) && canonical(left[key] ?? {}) === canonical(right[key] ?? {})
  );
}

/** Port, gateways and source of `a` let everything through that those of `b` do. */
function guardsCover(a: HTTPMatchRequest, b: HTTPMatchRequest): boolean {
  if ((a.port ?? 0) !== 0 && a.port !== b.port) return false;
  if ((a.gateways?.length ?? 0) > 0 && canonical(a.gateways) !== canonical(b.gateways ?? [])) return false;
  if ((a.sourceNamespace ?? "") !== "" && a.sourceNamespace !== b.sourceNamespace) return false;
  const labels = a.sourceLabels ?? {};
  const given = b.sourceLabels ?? {};
  // With gateways named, Istio does not look at the source, so b may fit more workloads than its labels say.
  if (Object.keys(labels).length > 0 && (b.gateways?.length ?? 0) > 0) return false;
  return Object.keys(labels).every((key) => given[key] === labels[key]);
}

function uriCovers(a: HTTPMatchRequest, b: HTTPMatchRequest): boolean {
  const left = a.uri;
  if (left === undefined || left.prefix === "/" || left.prefix === "") return true;
  const right = b.uri;
  if (right === undefined) return false;
  if (left.regex !== undefined) return left.regex === ".*" || left.regex === right.regex;
  // An earlier condition that minds case cannot cover one that does not.
  if (b.ignoreUriCase === true && a.ignoreUriCase !== true) return false;
  const fold = (text: string | undefined) => a.ignoreUriCase === true ? text?.toLowerCase() : text;
  return stringCovers(
    { exact: fold(left.exact), prefix: fold(left.prefix) } as StringMatch,
    { exact: fold(right.exact), prefix: fold(right.prefix), regex: right.regex } as StringMatch,
  );
}

/** `b` undefined: no condition, so anything (also a missing value) fits it. */
function stringCovers(a: StringMatch, b: StringMatch | undefined): boolean {
  if (b === undefined) return false;
  if (a.exact !== undefined) return a.exact === b.exact;
  if (a.prefix !== undefined) return (b.exact ?? b.prefix)?.startsWith(a.prefix) === true;
  if (a.regex !== undefined) return a.regex === b.regex || a.regex === ".*";
  return true;
}

/** JSON with sorted keys, names left out at the top. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const map = value as Readonly<Record<string, unknown>>;
  const keys = Object.keys(map).filter((key) => key !== "name" && map[key] !== undefined).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(map[key])}`).join(",")}}`;
}

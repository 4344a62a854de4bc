/**
 * The primitives of istio-semantics 4.1 (P1 to P19): each function takes one value and gives what is wrong with it as
 * `<state now>; <what is wanted>`, or undefined. All judge the text as written, short names not expanded.
 */
import { parseDuration } from "../core/duration.ts";
import { compileRegex } from "../route/regex.ts";
import { type At, cannotAccept, type Remarks } from "./remark.ts";
import type { Code } from "../core/codes.ts";
import type { Destination, StringMatch } from "./resources.ts";

/** What is wrong, or undefined. */
export type Problem = string | undefined;

const LABEL = "[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?";
const DNS_LABEL = new RegExp(`^${LABEL}$`);
const WILDCARD_LABEL = new RegExp(`^(?:\\*|(?:\\*-?)?${LABEL})$`);
const QUALIFIED = "(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_KEY = new RegExp(`^(${LABEL}(?:\\.${LABEL})*/)?(${QUALIFIED})$`);
const LABEL_VALUE = new RegExp(`^(?:${QUALIFIED})?$`);
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const JWT_CLAIM = /^@request\.auth\.claims(?:\.|\[)/;

/** P1 */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && DNS_LABEL.test(text);
}

/** P2 */
export function fqdnProblem(name: string): Problem {
  return lengthProblem(name) ?? labelsProblem(name);
}

/** P3: as P2, but the first label may be or begin with `*`. */
export function wildcardHostProblem(name: string): Problem {
  const tooLong = lengthProblem(name);
  if (tooLong !== undefined) return tooLong;
  const dot = name.indexOf(".");
  const first = dot < 0 ? name : name.slice(0, dot);
  if (first.length > 63 || !WILDCARD_LABEL.test(first)) return labelText(first);
  return dot < 0 ? undefined : labelsProblem(name.slice(dot + 1));
}

function lengthProblem(name: string): Problem {
  if (name === "") return "it is empty; give a DNS name";
  return name.length > 255 ? "it is longer than 255 characters; give a DNS name" : undefined;
}

function labelsProblem(name: string): Problem {
  const labels = name.split(".");
  if (labels.at(-1) === "" && labels.length > 1) labels.pop();
  else if (/^[+-]?\d+$/.test(labels.at(-1) as string)) {
    return `its last part "${labels.at(-1)}" is a number; give a DNS name`;
  }
  const bad = labels.find((label) => !isDnsLabel(label));
  return bad === undefined ? undefined : labelText(bad);
}

const labelText = (label: string) =>
  label === ""
    ? "a part between two dots is empty; give a DNS name"
    : `"${label}" is no DNS label; want up to 63 letters, digits and inner -`;

/** P1 with words. */
export function dnsLabelProblem(text: string): Problem {
  return isDnsLabel(text) ? undefined : text === "" ? "it is empty; give a name" : labelText(text);
}

/** P4: whole milliseconds, at least one. */
export function durationProblem(text: string): Problem {
  const ms = parseDuration(text);
  if (ms === undefined) return 'it is no duration; want a text such as "1.5s"';
  if (ms < 1) return "it is less than 1ms; give 1ms or more";
  // Nanoseconds decide, as fractions of milliseconds are not exact in binary.
  return Math.round(ms * 1e6) % 1e6 === 0 ? undefined : "it has fractions of a millisecond; give whole ones";
}

/** P5 */
export function portProblem(port: number): Problem {
  return port >= 1 && port <= 65535 ? undefined : "it is out of range; want 1 to 65535";
}

/** P6: the first bad label. */
export function labelsMapProblem(
  labels: Readonly<Record<string, string>>,
): { key: string; problem: string } | undefined {
  for (const [key, value] of Object.entries(labels)) {
    const match = LABEL_KEY.exec(key);
    if (match === null || (match[1]?.length ?? 0) > 254 || (match[2] as string).length > 63) {
      return { key, problem: "the key is no label key; want [prefix/]name of letters, digits, -, _ and ." };
    }
    if (value.length > 63 || !LABEL_VALUE.test(value)) {
      return {
        key,
        problem: `the value "${value}" is no label value; want up to 63 letters, digits, inner -, _ and .`,
      };
    }
  }
  return undefined;
}

/** P7: RE2 decides, whatever engine runs it later. */
export function regexProblem(regex: string): Problem {
  if (regex === "") return "it is empty; give a regular expression";
  if (regex.length > 1024) return "it is longer than 1024 characters; shorten it";
  const compiled = compileRegex(regex);
  return "error" in compiled ? `it does not compile as RE2 (${compiled.error}); mend it` : undefined;
}

/** P8: `uriOrOrigin` skips the test of an empty prefix, as Istio does there. */
export function stringMatchProblem(match: StringMatch, uriOrOrigin = false): Problem {
  if (match.regex !== undefined) {
    const problem = regexProblem(match.regex);
    return problem === undefined ? undefined : `its regex is wrong: ${problem}`;
  }
  if (match.prefix === "" && !uriOrOrigin) return "its prefix is empty; give a prefix, or {} for any value";
  return undefined;
}

/** P9 */
export function percentIntProblem(percent: number): Problem {
  return percent >= 0 && percent <= 100 ? undefined : "it is no percentage; want 0 to 100";
}

/** P10 */
export function percentProblem(value: number): Problem {
  if (value === 0 || (value >= 0.0001 && value <= 100)) return undefined;
  return value > 0 && value < 0.0001
    ? "it is below the finest step; want 0.0001 or more"
    : "it is no percentage; want 0, or 0.0001 to 100";
}

/** Any IPv4 or IPv6 address, without brackets. */
export function isIp(text: string): boolean {
  return isIpv4(text) || isIpv6(text);
}

function isIpv4(text: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(text);
}

function isIpv6(text: string): boolean {
  if (!text.includes(":") || !/^[0-9a-fA-F:.]+$/.test(text)) return false;
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = (half: string) => half === "" ? [] : half.split(":");
  const all = halves.flatMap(groups);
  let count = all.length;
  const last = all.at(-1);
  if (last?.includes(".") === true) {
    if (!isIpv4(last)) return false;
    all.pop();
    count++;
  }
  if (!all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false;
  return halves.length === 2 ? count <= 7 : count === 8;
}

/** P11 */
export function subnetProblem(text: string): Problem {
  const slash = text.indexOf("/");
  if (slash < 0) return isIp(text) ? undefined : "it is no IP address or CIDR block; give one";
  const address = text.slice(0, slash);
  const bits = text.slice(slash + 1);
  const most = isIpv4(address) ? 32 : isIpv6(address) ? 128 : -1;
  return /^\d{1,3}$/.test(bits) && Number(bits) <= most
    ? undefined
    : "it is no CIDR block; want address/bits";
}

/** Whether a header key tests a JWT claim. */
export function isJwtClaim(name: string): boolean {
  return JWT_CLAIM.test(name);
}

/** P12 */
export function headerMatchNameProblem(name: string): Problem {
  if (name === "") return "it is empty; give a header name";
  if (isJwtClaim(name) || /^:(method|scheme|authority|path|status)$/.test(name)) return undefined;
  return TOKEN.test(name) ? undefined : "it is no header name; want a token";
}

/** P13 (`requestSet`: request set and add) and P14 (everything else). */
export function headerOperationNameProblem(name: string, requestSet: boolean): Problem {
  if (name === "") return "it is empty; give a header name";
  if (requestSet) {
    if (name === ":authority" || name.toLowerCase() === "host") return undefined;
  } else if (name.toLowerCase() === "host") return "the host header cannot be changed here; delete it";
  if (name.startsWith(":")) return "pseudo headers cannot be changed here; delete it";
  return TOKEN.test(name) ? undefined : "it is no header name; want a token";
}

/** P15 */
export function headerValueProblem(value: string): Problem {
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value)) return "it holds control characters; delete them";
  const rest = value.replace(/%%|%[A-Z0-9_]+(?:\([^)]*\))?(?::\d+)?%/g, "");
  return rest.includes("%") ? "a % stands alone; write %% or %COMMAND%" : undefined;
}

/** P16 */
export function httpStatusProblem(status: number): Problem {
  return status >= 200 && status <= 600 ? undefined : "it is no final HTTP status; want 200 to 599";
}

export function isHeaderToken(name: string): boolean {
  return TOKEN.test(name);
}

/** P17: all names of one list; Istio stops at the first legacy name. */
export function judgeGateways(
  names: readonly string[],
  at: At,
  out: Remarks,
  codes: { error: Code; warning: Code },
): void {
  for (const [i, name] of names.entries()) {
    const slash = name.indexOf("/");
    if (slash < 0) {
      const problem = fqdnProblem(name);
      if (problem !== undefined) out.refuse(codes.error, at.to(i), "gateway", name, problem);
      else if (name.includes(".")) {
        out.add(
          codes.warning,
          at.to(i),
          `Gateway "${name}" is in the old dotted form; write ${name.split(".")[1]?.replace(/\..*/, "")}/${
            name.split(".")[0]
          }`,
        );
        return;
      }
      continue;
    }
    const [namespace, gateway] = [name.slice(0, slash), name.slice(slash + 1)];
    if ((namespace !== "." && !isDnsLabel(namespace)) || !isDnsLabel(gateway)) {
      out.refuse(codes.error, at.to(i), "gateway", name, "it is no gateway name; want namespace/name");
    }
  }
}

/** P18 */
export function judgeDestination(destination: Destination, at: At, out: Remarks, code: Code): void {
  const host = destination.host ?? "";
  const problem = host === "*" ? "it is every host; name one" : wildcardHostProblem(host);
  if (problem !== undefined) {
    out.refuse(
      code,
      host === "" && destination.host === undefined ? at : at.to("host"),
      "destination host",
      host,
      problem,
    );
  }
  if (destination.subset !== undefined && destination.subset !== "") {
    const label = dnsLabelProblem(destination.subset);
    if (label !== undefined) out.refuse(code, at.to("subset"), "subset", destination.subset, label);
  }
  if (destination.port !== undefined) {
    const number = destination.port.number ?? 0;
    const range = portProblem(number);
    if (range !== undefined) out.refuse(code, at.to("port").to("number"), "destination port", number, range);
  }
}

/** P19 */
export function judgeExportTo(
  exportTo: readonly string[],
  at: At,
  out: Remarks,
  code: Code,
  options: { namespace: string; service?: boolean; ownOnly?: boolean },
): void {
  const seen = new Set<string>();
  for (const [i, name] of exportTo.entries()) {
    const canonical = name === options.namespace ? "." : name;
    const problem = seen.has(canonical)
      ? "it is given twice; delete one"
      : name === "*" || name === "."
      ? undefined
      : name === "~"
      ? options.service === true ? undefined : "only a ServiceEntry can be exported to nobody; delete it"
      : isDnsLabel(name)
      ? undefined
      : "it is no namespace; want a name, . or *";
    seen.add(canonical);
    if (problem !== undefined) out.refuse(code, at.to(i), "exportTo", name, problem);
  }
  for (const alone of ["*", "~"]) {
    if (exportTo.length > 1 && exportTo.includes(alone)) {
      out.refuse(code, at, "exportTo", exportTo, `"${alone}" stands with other names; give it alone`);
    }
  }
  if (options.ownOnly === true) {
    for (const [i, name] of exportTo.entries()) {
      if (name === "." || name === options.namespace) continue;
      out.refuse(
        code,
        at.to(i),
        "exportTo",
        name,
        "a rule with workloadSelector is private to its namespace; want .",
      );
    }
  }
}

/** P20: `unix://` already taken off. */
export function unixPathProblem(path: string): Problem {
  if (path.startsWith("@") && path.length > 1) return undefined;
  if (path.startsWith("/") && path.length > 1 && !path.endsWith("/")) return undefined;
  return "it is no socket path; want an absolute file path or @name";
}

/** P6 with a remark. */
export function judgeLabels(
  labels: Readonly<Record<string, string>>,
  at: At,
  out: Remarks,
  code: Code,
): void {
  const bad = labelsMapProblem(labels);
  if (bad !== undefined) out.refuse(code, at.to(bad.key), "label", bad.key, bad.problem);
}

/** Workload selectors of DestinationRule and ServiceEntry. */
export function judgeSelectorLabels(
  labels: Readonly<Record<string, string>>,
  at: At,
  out: Remarks,
  code: Code,
): void {
  for (const [key, value] of Object.entries(labels)) {
    const problem = key === ""
      ? "the key is empty; give a label key"
      : key.includes("*") || value.includes("*")
      ? "selectors know no wildcard; give whole keys and values"
      : undefined;
    if (problem !== undefined) out.refuse(code, at.to(key), "selector label", `${key}: ${value}`, problem);
  }
}

/** P4 with a remark, absent values pass. */
export function judgeDuration(
  text: string | undefined,
  at: At,
  out: Remarks,
  code: Code,
  thing: string,
): void {
  if (text === undefined) return;
  const problem = durationProblem(text);
  if (problem !== undefined) out.refuse(code, at, thing, text, problem);
}

/** Weight rules of one list of destinations (VS-E30). */
export function judgeDestinations(
  routes: readonly ({ destination?: Destination; weight?: number } | null)[],
  at: At,
  out: Remarks,
  code: Code,
): void {
  let total = 0;
  for (const [i, route] of routes.entries()) {
    if (route === null) {
      out.add(
        code,
        at.to(i),
        cannotAccept("route entry", undefined, "it is empty; give destination and weight"),
      );
      continue;
    }
    if (route.destination === undefined) {
      out.add(
        code,
        at.to(i),
        cannotAccept("route entry", undefined, "it has no destination; give destination.host"),
      );
    } else judgeDestination(route.destination, at.to(i).to("destination"), out, code);
    const weight = route.weight ?? 0;
    if (weight < 0) {
      out.refuse(code, at.to(i).to("weight"), "weight", weight, "it is negative; want 0 or more");
    }
    total += weight;
  }
  if (routes.length > 1 && total === 0 && routes.every((route) => (route?.weight ?? 0) === 0)) {
    out.add(
      code,
      at,
      cannotAccept("weights", undefined, `all ${routes.length} are 0; give at least one above 0`),
    );
  }
}

/** Names of the gRPC statuses; the place in the list is the number. */
export const GRPC_CODES: readonly string[] = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

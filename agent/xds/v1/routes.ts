/**
 * GET /v1/routes/NAME/CLUSTER/NODE -> a route table.
 *
 * In: the answer's JSON, the faults that the listener of this table has (they stand there in v1, not with the routes). Out: a
 * RouteConfiguration. The unit is a virtual host: one that cannot be used keeps its last good value, one whose JSON is as
 * before is that object again (with the version it came with).
 */
import { type Diagnostic, type Origin } from "../../core/diagnostics.ts";
import { formatDuration, parseDuration } from "../../core/duration.ts";
import type {
  ClusterWeight,
  CorsPolicy,
  HeaderMatcher,
  HeaderValueOption,
  RetryPolicy,
  Route,
  RouteAction,
  RouteConfiguration,
  RouteMatch,
  VirtualHost,
} from "../../model/model.ts";
import { compileRegex } from "../../route/regex.ts";
import { isUsableName } from "../decode_route_headers.ts";
import { listIn } from "./clusters.ts";
import { attachFaults, type ListenerFault } from "./faults.ts";
import { finish, type Steps } from "./json_steps.ts";
import { join, type JsonObject, Reading } from "./reading.ts";

/** A table and what it was made from. */
export interface RouteTable {
  readonly configuration: RouteConfiguration;
  readonly problems: readonly Diagnostic[];
  /** Parts left out that decide nothing. */
  readonly notes: readonly Diagnostic[];
  /** By name of the virtual host: its JSON and faults as one text. */
  readonly sources: ReadonlyMap<string, string>;
}

export interface RouteContext {
  /** Of the listener that the table belongs to. */
  readonly faults: readonly ListenerFault[];
  /** Which virtual hosts are decoded at all, by name. */
  readonly wanted: (name: string) => boolean;
}

/** Undefined when the answer has no list of virtual hosts. `null` is Pilot's empty table. */
export function decodeRoutes(
  name: string,
  value: unknown,
  context: RouteContext,
  origin: Origin,
  previous?: RouteTable,
): RouteTable | undefined {
  return finish(routeSteps(name, value, context, origin, previous));
}

/** The same in steps, one for each virtual host. */
export function* routeSteps(
  name: string,
  value: unknown,
  { faults, wanted }: RouteContext,
  origin: Origin,
  previous?: RouteTable,
): Steps<RouteTable | undefined> {
  const list = value === null ? [] : listIn(value, "virtual_hosts");
  if (list === undefined) return undefined;
  const before = new Map(previous?.configuration.virtualHosts.map((v) => [v.name, v]));
  const faultText = JSON.stringify(faults);
  const virtualHosts: VirtualHost[] = [];
  const problems: Diagnostic[] = [];
  const notes: Diagnostic[] = [];
  const sources = new Map<string, string>();
  const taken = new Set<string>();
  const known = new Set<string>();
  let nameless = false;
  for (const [i, item] of list.entries()) {
    yield;
    const path = `virtual_hosts[${i}]`;
    const reading = new Reading(origin);
    const from = reading.object(item, path);
    const host = from && reading.needText(from, "name", path);
    if (from === undefined || host === undefined) {
      nameless = true;
      problems.push(...reading.problems);
      continue;
    }
    if (!wanted(host)) continue;
    if (known.has(host)) {
      reading.fail(path, `Cannot use virtual host "${host}" again: it is there already`, "D213");
      problems.push(...reading.problems);
      continue;
    }
    known.add(host);
    const source = JSON.stringify(item) + faultText;
    const old = before.get(host);
    const same = old !== undefined && previous?.sources.get(host) === source;
    const made = same ? old : readVirtualHost(from, host, path, faults, reading);
    problems.push(...reading.problems);
    notes.push(...reading.notes);
    const usable = made !== undefined && reading.problems.length === 0;
    const used = usable ? made : old;
    if (usable) sources.set(host, source);
    if (used === undefined) continue;
    virtualHosts.push(used);
    problems.push(...judgeDomains(used, taken, path, origin));
  }
  if (nameless) {
    // It may have stood for any of these.
    for (const [host, old] of before) if (!known.has(host)) virtualHosts.push(old);
  }
  const configuration: RouteConfiguration = { name, virtualHosts };
  const unchanged = previous !== undefined &&
    previous.configuration.virtualHosts.length === virtualHosts.length &&
    virtualHosts.every((v, i) => v === previous.configuration.virtualHosts[i]);
  return { configuration: unchanged ? previous.configuration : configuration, problems, notes, sources };
}

/** A domain belongs to the first virtual host that names it (route/domain_index.ts does so); the others are told. */
function judgeDomains(host: VirtualHost, taken: Set<string>, path: string, origin: Origin): Diagnostic[] {
  const lost = host.domains.filter((d) => taken.has(d));
  for (const domain of host.domains) taken.add(domain);
  if (lost.length === 0) return [];
  const reading = new Reading(origin);
  reading.fail(
    `${path}.domains`,
    `Cannot serve ${lost.join(", ")} by virtual host "${host.name}": another virtual host has it already`,
    "D213",
  );
  return [...reading.problems];
}

function readVirtualHost(
  from: JsonObject,
  name: string,
  path: string,
  faults: readonly ListenerFault[],
  reading: Reading,
): VirtualHost | undefined {
  const domains: string[] = [];
  for (const [i, item] of reading.list(from, "domains", path).entries()) {
    if (typeof item !== "string" || item === "") {
      reading.fail(`${path}.domains[${i}]`, `Cannot use domain ${JSON.stringify(item)}: want a host name`);
      continue;
    }
    const domain = plainDomain(item);
    if (domain !== undefined && !domains.includes(domain)) domains.push(domain);
  }
  const routes: Route[] = [];
  for (const [i, item] of reading.list(from, "routes", path).entries()) {
    const route = readRoute(item, `${path}.routes[${i}]`, reading);
    if (route !== undefined) routes.push(route);
  }
  if (reading.problems.length > 0) return undefined;
  return { name, domains, routes: attachFaults(routes, faults), origin: reading.originOf(path) };
}

/** Pilot 0.8 writes addresses as CIDR (`10.0.0.5/32:8084`), and 0.0.0.0 for services that have none. */
function plainDomain(text: string): string | undefined {
  const domain = text.toLowerCase().replace(/\/(32|128)(?=:\d+$|$)/, "");
  return /^(0\.0\.0\.0|::|\[::\])(:\d+)?$/.test(domain) || domain.includes("/") ? undefined : domain;
}

function readRoute(item: unknown, path: string, reading: Reading): Route | undefined {
  const from = reading.object(item, path);
  if (from === undefined) return undefined;
  const runtime = reading.part(from, "runtime", path);
  if (runtime !== undefined) {
    const share = reading.count(runtime, "default", join(path, "runtime"));
    // A route that Envoy's runtime switches off.
    if (share === 0) return undefined;
    if (share !== undefined && share < 100) {
      reading.note(
        join(path, "runtime"),
        `Cannot take the route for ${share} % of the requests only: it is taken for all; want runtime.default 100`,
      );
    }
  }
  const match = readMatch(from, path, reading);
  const action = readAction(from, path, reading);
  if (match === undefined || action === undefined) return undefined;
  const toAdd = readHeadersToAdd(from, path, reading);
  const cors = reading.part(from, "cors", path);
  const policy = cors && readCors(cors, join(path, "cors"), reading);
  const decorator = reading.part(from, "decorator", path);
  const name = decorator && reading.text(decorator, "operation", join(path, "decorator"));
  return {
    ...(name ? { name } : {}),
    match,
    ...action,
    ...(toAdd.length === 0 ? {} : { requestHeadersToAdd: toAdd }),
    ...(policy === undefined ? {} : { typedPerFilterConfig: { "envoy.filters.http.cors": policy } }),
    origin: reading.originOf(path),
  };
}

function readMatch(from: JsonObject, path: string, reading: Reading): RouteMatch | undefined {
  const kinds = ["prefix", "path", "regex"].filter((kind) =>
    typeof from[kind] === "string" && from[kind] !== ""
  );
  if (kinds.length !== 1) {
    return reading.fail(
      path,
      `Cannot use the route: it has ${kinds.length} of prefix, path, regex; want one`,
    );
  }
  const kind = kinds[0] as "prefix" | "path" | "regex";
  const text = from[kind] as string;
  const caseSensitive = reading.flag(from, "case_sensitive", path);
  const headers = readHeaders(from, path, reading);
  if (kind === "regex" && !isRegex(text, join(path, kind), reading)) return undefined;
  return {
    ...(kind === "regex" ? { safeRegex: { regex: text } } : { [kind]: text }),
    ...(caseSensitive === false ? { caseSensitive } : {}),
    ...(headers.length === 0 ? {} : { headers }),
  };
}

/** Conditions on headers: of a route, and of a fault in a listener. */
export function readHeaders(from: JsonObject, path: string, reading: Reading): HeaderMatcher[] {
  const headers: HeaderMatcher[] = [];
  for (const [i, item] of reading.list(from, "headers", path).entries()) {
    const at = `${path}.headers[${i}]`;
    const header = reading.object(item, at);
    const name = header && reading.needText(header, "name", at)?.toLowerCase();
    if (header === undefined || name === undefined) continue;
    const value = reading.text(header, "value", at) ?? "";
    const isPattern = reading.flag(header, "regex", at) === true;
    if (value === "" && !isPattern) {
      headers.push({ name, presentMatch: true });
      continue;
    }
    const prefix = isPattern ? quotedPrefix(value) : undefined;
    if (prefix !== undefined) {
      headers.push(prefix === "" ? { name, presentMatch: true } : { name, stringMatch: { prefix } });
    } else if (!isPattern) {
      headers.push({ name, stringMatch: { exact: value } });
    } else if (isRegex(value, join(at, "value"), reading)) {
      headers.push({ name, stringMatch: { safeRegex: { regex: value } } });
    }
  }
  return headers;
}

/** The rule's prefix behind `^QUOTED.*`, as Pilot sends it; undefined for any other pattern. */
function quotedPrefix(pattern: string): string | undefined {
  const m = /^\^((?:[^\\.+*?()|[\]{}^$]|\\[\\.+*?()|[\]{}^$])*)\.\*$/.exec(pattern);
  return m === null ? undefined : (m[1] as string).replace(/\\(.)/g, "$1");
}

function isRegex(text: string, path: string, reading: Reading): boolean {
  const compiled = compileRegex(text);
  if (!("error" in compiled)) return true;
  reading.fail(path, `Cannot use regular expression "${text}": ${compiled.error}; want RE2 syntax`);
  return false;
}

function readAction(
  from: JsonObject,
  path: string,
  reading: Reading,
): Pick<Route, "route" | "redirect"> | undefined {
  const pathRedirect = reading.line(from, "path_redirect", path);
  const hostRedirect = reading.line(from, "host_redirect", path);
  if (pathRedirect || hostRedirect) {
    return {
      redirect: {
        ...(pathRedirect ? { pathRedirect } : {}),
        ...(hostRedirect ? { hostRedirect } : {}),
        responseCode: 301,
      },
    };
  }
  const target = readTarget(from, path, reading);
  if (target === undefined) return undefined;
  const prefixRewrite = reading.line(from, "prefix_rewrite", path);
  const hostRewrite = reading.line(from, "host_rewrite", path);
  if (reading.flag(from, "auto_host_rewrite", path) === true) {
    reading.note(
      join(path, "auto_host_rewrite"),
      "Cannot write the endpoint's name into the request: its host is kept; want host_rewrite",
    );
  }
  const timeoutMs = reading.count(from, "timeout_ms", path);
  const retry = reading.part(from, "retry_policy", path);
  const shadow = reading.part(from, "shadow", path);
  const mirror = shadow && reading.needText(shadow, "cluster", join(path, "shadow"));
  const action: RouteAction = {
    ...target,
    ...(prefixRewrite ? { prefixRewrite } : {}),
    ...(hostRewrite ? { hostRewriteLiteral: hostRewrite } : {}),
    ...(timeoutMs === undefined ? {} : { timeout: formatDuration(timeoutMs) }),
    ...(retry === undefined ? {} : { retryPolicy: readRetry(retry, join(path, "retry_policy"), reading) }),
    ...(mirror === undefined ? {} : { requestMirrorPolicies: [{ cluster: mirror }] }),
  };
  return { route: action };
}

function readTarget(
  from: JsonObject,
  path: string,
  reading: Reading,
): Pick<RouteAction, "cluster" | "weightedClusters"> | undefined {
  const weighted = reading.part(from, "weighted_clusters", path);
  if (weighted === undefined) {
    const cluster = reading.text(from, "cluster", path);
    return cluster ? { cluster } : reading.fail(
      path,
      "Cannot use the route: it leads nowhere; want cluster, weighted_clusters or a redirect",
    );
  }
  const clusters: ClusterWeight[] = [];
  for (const [i, item] of reading.list(weighted, "clusters", join(path, "weighted_clusters")).entries()) {
    const at = `${path}.weighted_clusters.clusters[${i}]`;
    const entry = reading.object(item, at);
    const name = entry && reading.needText(entry, "name", at);
    const weight = (entry && reading.count(entry, "weight", at)) ?? 0;
    if (name !== undefined && weight > 0) clusters.push({ name, weight });
  }
  if (clusters.length === 0) {
    return reading.fail(
      join(path, "weighted_clusters"),
      "Cannot use the route: no cluster has a weight; want weights with a sum above 0",
    );
  }
  return clusters.length === 1
    ? { cluster: (clusters[0] as ClusterWeight).name }
    : { weightedClusters: { clusters } };
}

function readRetry(from: JsonObject, path: string, reading: Reading): RetryPolicy {
  const perTryMs = reading.count(from, "per_try_timeout_ms", path);
  return {
    retryOn: reading.text(from, "retry_on", path) ?? "",
    numRetries: reading.count(from, "num_retries", path) ?? 1,
    ...(perTryMs === undefined || perTryMs === 0 ? {} : { perTryTimeout: formatDuration(perTryMs) }),
  };
}

function readHeadersToAdd(from: JsonObject, path: string, reading: Reading): HeaderValueOption[] {
  const options: HeaderValueOption[] = [];
  for (const [i, item] of reading.list(from, "request_headers_to_add", path).entries()) {
    const at = `${path}.request_headers_to_add[${i}]`;
    const header = reading.object(item, at);
    const key = header && reading.needText(header, "key", at);
    const value = header && reading.line(header, "value", at);
    if (key !== undefined && isUsableName(key, join(at, "key"), reading.findings)) {
      options.push({ header: { key, value: value ?? "" }, appendAction: "APPEND_IF_EXISTS_OR_ADD" });
    }
  }
  return options;
}

function readCors(from: JsonObject, path: string, reading: Reading): CorsPolicy | undefined {
  const enabled = reading.flag(from, "enabled", path) ?? true;
  const allowMethods = reading.text(from, "allow_methods", path);
  const allowHeaders = reading.text(from, "allow_headers", path);
  const exposeHeaders = reading.text(from, "expose_headers", path);
  const written = reading.text(from, "max_age", path);
  const maxAge = written === undefined || written === "" ? undefined : wholeSeconds(written);
  if (maxAge === null) {
    reading.fail(join(path, "max_age"), `Cannot use max_age "${written}": want seconds or a duration`);
  }
  const credentials = reading.flag(from, "allow_credentials", path);
  const origins = reading.list(from, "allow_origin", path).filter((o) => typeof o === "string");
  if (!enabled) return undefined;
  return {
    allowOriginStringMatch: origins.map((exact) => ({ exact })),
    ...(allowMethods ? { allowMethods } : {}),
    ...(allowHeaders ? { allowHeaders } : {}),
    ...(exposeHeaders ? { exposeHeaders } : {}),
    ...(maxAge ? { maxAge } : {}),
    ...(credentials === true ? { allowCredentials: true } : {}),
  };
}

/** `600`, or a Go duration; null when it is neither. */
function wholeSeconds(text: string): string | null {
  if (/^\d+$/.test(text)) return text;
  const ms = parseDuration(text);
  return ms === undefined || ms < 0 ? null : String(Math.trunc(ms / 1000));
}

/**
 * Requests that rules are about: drawn from the conditions of two programs and their near misses, from a seed.
 *
 * In: programs. Out: request after request. Each begins with a virtual host and one of its routes; every condition of that route is met
 * in most cases and just missed in the others.
 */
import type {
  HeaderMatcher,
  Program,
  Route,
  StringMatcher,
  VirtualHost,
} from "../../../agent/model/model.ts";
import { compileString } from "../../../agent/route/match.ts";
import type { RequestView } from "../../../agent/route/types.ts";
import { viewOf } from "../../../agent/route/view.ts";
import { type Random, randomOf } from "../../differential/generate.ts";
import { sampleOf } from "./regex_sample.ts";

export interface GeneratedRequest {
  /** As one line, for messages. */
  readonly text: string;
  readonly view: RequestView;
  readonly headers: readonly (readonly [string, string])[];
  /** For the weighted choice, in [0,1). */
  readonly random: number;
}

interface Target {
  readonly host: VirtualHost;
  readonly ports: readonly number[];
}

const TAILS = ["", "", "/", "x", "/x", "/a/b", "//a", "?", "?q=1", "?x", "/%61?a=b&c"];
const ODD_PORTS = [80, 81, 443, 9999];
const METHODS = ["GET", "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"];
const HOSTS = ["unknown.test", "10.9.9.9", "[2001:db8::1]", "localhost"];
/** What is asked where no rules are. */
const NOBODY: Target = { host: { name: "", domains: ["*"], routes: [] }, ports: ODD_PORTS };

export class RequestGenerator {
  readonly #r: Random;
  readonly #targets: readonly Target[];
  readonly #ports: readonly number[];
  /** Headers that operations name, and origins that CORS policies speak of. */
  readonly #named: readonly string[];
  readonly #origins: readonly string[];
  /** The present request meets every condition of its route. */
  #strict = false;

  constructor(seed: number, programs: readonly Program[]) {
    this.#r = randomOf(seed);
    const targets = programs.flatMap(targetsOf);
    this.#targets = targets.length > 0 ? targets : [NOBODY];
    this.#ports = [...new Set([...this.#targets.flatMap(({ ports }) => ports), ...ODD_PORTS])];
    const routes = [...new Set(this.#targets.flatMap(({ host }) => host.routes))];
    this.#named = [...new Set(routes.flatMap(headersNamedBy))];
    this.#origins = [...new Set(routes.flatMap((route) => this.#originsOf(route)))];
  }

  next(): GeneratedRequest {
    const target = this.#one(this.#targets);
    const route = this.#rarely(20) || target.host.routes.length === 0
      ? undefined
      : this.#one(target.host.routes);
    this.#strict = this.#rarely(4);
    const [path, query] = this.#target(route);
    const fields = new Map<string, string>();
    let method = this.#one(METHODS);
    let scheme = this.#rarely(25) ? "https" : "http";
    for (const matcher of route?.match.headers ?? []) {
      const value = this.#fieldFor(matcher);
      if (matcher.name === ":method") method = value ?? method;
      else if (matcher.name === ":scheme") scheme = value === "https" ? "https" : "http";
      else if (!matcher.name.startsWith(":") && value !== undefined) fields.set(matcher.name, value);
    }
    for (const name of this.#named) if (this.#rarely(3)) fields.set(name, this.#one(["in", "", "a,b"]));
    if (this.#origins.length > 0 && this.#rarely(3)) fields.set("origin", this.#one(this.#origins));
    const port = this.#rarely(8) ? this.#one(this.#ports) : this.#one(target.ports);
    const name = this.#rarely(25) ? this.#one(HOSTS) : this.#hostOf(target.host, route);
    // A listener knows its port, also when the authority names none.
    const ofListener = this.#strict || this.#rarely(4);
    const authority = port === (scheme === "https" ? 443 : 80) && this.#rarely(2) || ofListener
      ? name
      : `${name}:${port}`;
    const headers = [...fields];
    const url = `${scheme}://${authority}${path}${query}`;
    const view = viewOf({ method, url, headers });
    const random = this.#r(1_000_000) / 1_000_000;
    return {
      text: `${method} ${url}${ofListener ? ` at :${port}` : ""} ${JSON.stringify(headers)}`,
      view: ofListener ? { ...view, port } : view,
      headers,
      random,
    };
  }

  #one<T>(list: readonly T[]): T {
    return list[this.#r(list.length)] as T;
  }

  #rarely(n: number): boolean {
    return this.#r(n) === 0;
  }

  #misses(n: number): boolean {
    return !this.#strict && this.#rarely(n);
  }

  #hostOf(host: VirtualHost, route: Route | undefined): string {
    const authority = route?.match.headers?.find(({ name }) => name === ":authority")?.stringMatch;
    if (this.#strict && authority !== undefined) {
      const accepted = host.domains.filter((domain) => compileString(authority).test(domain));
      if (accepted.length > 0) return this.#one(accepted);
    }
    let domain = this.#one(host.domains).replace(/(?<=[^:]|\]):\d+$/, "");
    // Pilot 0.8 takes over the mask of an address.
    domain = domain.replace(/\/\d+$/, "");
    if (domain === "*") return this.#one(HOSTS);
    if (domain.startsWith("*")) domain = this.#one(["a", "b.a", "", "x-"]) + domain.slice(1);
    else if (domain.endsWith("*")) domain = domain.slice(0, -1) + this.#one(["a", "a.b"]);
    domain = domain.replace(/^\.|\.$/g, "");
    switch (this.#r(24)) {
      case 0:
        return domain.startsWith("[") ? domain : domain.slice(0, -1) || "x";
      case 1:
        return domain.startsWith("[") ? domain : `x.${domain}`;
      case 2:
        return domain.startsWith("[") ? domain : `${domain}.`;
      case 3:
        return domain.toUpperCase();
      case 4:
        return domain.split(".")[0] || "x";
      default:
        return domain;
    }
  }

  #target(route: Route | undefined): [path: string, query: string] {
    const match = route?.match ?? { prefix: "/" };
    let path = match.path ?? match.pathSeparatedPrefix ?? match.prefix ??
      sampleOf(match.safeRegex!.regex, this.#r);
    if (match.caseSensitive === false && this.#rarely(2)) path = swapCase(path);
    const open = match.prefix !== undefined || match.pathSeparatedPrefix !== undefined;
    if (open) path += this.#one(TAILS);
    else if (this.#misses(8)) path = this.#nearMiss(path);
    if (this.#misses(12)) path = this.#nearMiss(path);
    if (!path.startsWith("/")) path = `/${path}`;
    const [bare, own] = path.split("?", 2) as [string, string | undefined];
    const parameters = own === undefined || own === "" ? [] : [own];
    for (const { name, stringMatch } of match.queryParameters ?? []) {
      if (this.#misses(10)) continue;
      const value = stringMatch === undefined ? "" : this.#text(stringMatch);
      parameters.push(value === "" && this.#rarely(2) ? name : `${name}=${value}`);
    }
    if (this.#rarely(10)) parameters.push("z=1");
    return [bare, parameters.length > 0 ? `?${parameters.join("&")}` : own === "" ? "?" : ""];
  }

  #fieldFor(matcher: HeaderMatcher): string | undefined {
    const meets = !this.#misses(8);
    const wantsValue = meets !== (matcher.invertMatch === true);
    if (matcher.stringMatch === undefined) {
      return wantsValue === (matcher.presentMatch ?? true) ? this.#one(["1", "", "a"]) : undefined;
    }
    if (wantsValue) return this.#text(matcher.stringMatch);
    return this.#rarely(2) ? undefined : this.#nearMiss(this.#text(matcher.stringMatch));
  }

  /** A text that a matcher accepts in most cases. */
  #text(m: StringMatcher): string {
    let text = m.exact ?? m.suffix ?? m.contains ?? "";
    if (m.prefix !== undefined) text = m.prefix + this.#one(["", "", "x", "1"]);
    if (m.safeRegex !== undefined) text = sampleOf(m.safeRegex.regex, this.#r);
    return this.#misses(10) ? this.#nearMiss(text) : text;
  }

  #nearMiss(text: string): string {
    return this.#one([text.slice(0, -1), `${text}x`, `${text}/`, swapCase(text), text.replace(/.$/, "7")]);
  }

  #originsOf(route: Route): string[] {
    const cors = route.typedPerFilterConfig?.["envoy.filters.http.cors"];
    return (cors?.allowOriginStringMatch ?? []).flatMap((matcher) =>
      Array.from({ length: 4 }, () => this.#text(matcher))
    );
  }
}

function swapCase(text: string): string {
  return text === text.toLowerCase() ? text.toUpperCase() : text.toLowerCase();
}

function targetsOf(program: Program): Target[] {
  return [...program.routeConfigurations].flatMap(([name, { virtualHosts }]) =>
    virtualHosts.map((host) => ({ host, ports: portsOf(name, host) }))
  );
}

/** By the name of the table; table `http_proxy` has the ports in its domains. */
function portsOf(table: string, host: VirtualHost): number[] {
  const named = Number(/(?:^|:)(\d+)$/.exec(table)?.[1] ?? NaN);
  if (!Number.isNaN(named)) return [named];
  const ports = host.domains.flatMap((domain) => /(?<=[^:]|\]):(\d+)$/.exec(domain)?.[1] ?? []);
  return ports.length > 0 ? [...new Set(ports.map(Number))] : [80];
}

function headersNamedBy({ route, ...fields }: Route): string[] {
  return [fields, ...(route?.weightedClusters?.clusters ?? [])].flatMap((level) => [
    ...(level.requestHeadersToAdd ?? []).map(({ header }) => header.key),
    ...(level.requestHeadersToRemove ?? []),
  ]).concat((route?.hashPolicy ?? []).flatMap((policy) => policy.header?.headerName ?? []));
}

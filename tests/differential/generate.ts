/**
 * Random rule sets and requests, from a seed. A rule set is a list of Istio objects about hosts under `rN.test`, so that
 * many sets fit into one program; its requests use the same small vocabulary of paths, headers and parameters, so that
 * conditions are met and missed about equally often.
 *
 * Kept out, because an answer would depend on chance or on time: percentages other than 0 and 100, weights other than
 * 0 and 100, delays, mirrors.
 */
import type { RawRequest } from "./raw_http.ts";

export type Random = (n: number) => number;

/** Uniform whole numbers in [0, n). xorshift32. */
export function randomOf(seed: number): Random {
  let s = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bf03635) | 1;
  return (n) => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return (s >>> 0) % n;
  };
}

export interface RuleSet {
  readonly number: number;
  /** Istio objects, ready for JSON (which is YAML). */
  readonly objects: readonly unknown[];
  readonly requests: readonly RawRequest[];
}

/** Ports of the upstreams that the ServiceEntries name. */
export interface UpstreamPorts {
  readonly a: readonly [v1: number, v2: number, v3: number];
  readonly b: number;
  readonly c: number;
  readonly w: number;
}

type Text = Record<string, unknown>;

/** Protocols of the ports 80 and 8080 of services a, b, c and w; c answers in the client's protocol. */
export type Protocols = Readonly<Record<"a" | "b" | "w", readonly [on80: string, on8080: string]>>;

const HTTP_1: Protocols = { a: ["HTTP", "HTTP"], b: ["HTTP", "HTTP"], w: ["HTTP", "HTTP"] };
/** Upstreams of either version behind clients of either version. */
export const MIXED: Protocols = { a: ["HTTP", "HTTP2"], b: ["GRPC", "HTTP"], w: ["", "GRPC-Web"] };

export function ruleSet(
  seed: number,
  number: number,
  ports: UpstreamPorts,
  requests: number,
  protocols: Protocols = HTTP_1,
): RuleSet {
  const g = new Generator(randomOf(seed * 100_003 + number), number, protocols);
  const objects = [...g.services(ports), ...g.virtualServices()];
  return { number, objects, requests: Array.from({ length: requests }, () => g.request()) };
}

const PATHS = [
  "/",
  "/a",
  "/a/b",
  "/a/b/c",
  "/ab",
  "/A/B",
  "/api/v1/users",
  "/api/v2/users/7",
  "/api/v1",
  "/login",
  "/login/",
  "/logout",
  "/static/x.js",
  "/x%20y",
  "/%7Ejoe",
  "/a/./b",
  "/b/../a",
  "/a//b",
  "/a;p=1",
  "/a%2Fb",
  "/a/%2e%2e/login",
  "/a/b/..;x/c",
  "/a\\b",
];
const EXACT = ["/", "/a", "/a/b", "/login", "/~joe", "/x%20y", "/A/B", "/api/v1", "/a//b"];
const PREFIXES = ["/", "/a", "/a/", "/api", "/api/v1", "/log", "/A", "/static/", "/~"];
const REGEXES = [
  ".*",
  "/a/.*",
  "/api/v[0-9]+/users(/.*)?",
  ".*\\.js",
  "/(login|logout)/?",
  "/[^/]+",
  "(?i)/a/B",
  "/a(/b)?(/c)?",
  "/.+/.+",
  "/a.*b.*",
];
const NAMES = ["end-user", "x-flag", "X-Tier", "cookie"];
const VALUES = ["jason", "jasonx", "gold", "a,b", "user=jason; k=v", "", "1"];
const QUERIES = ["", "", "", "?x=1", "?x=2&y=", "?y", "?debug=true&x=1", "?x=1&x=2", "?", "?x=%31"];
const METHODS = ["GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
const ORIGINS = ["http://shop.com", "http://a.shop.com", "https://evil.org"];

class Generator {
  readonly #r: Random;
  readonly #n: number;
  #names = 0;

  constructor(random: Random, number: number, readonly protocols: Protocols) {
    this.#r = random;
    this.#n = number;
  }

  #one<T>(list: readonly T[]): T {
    return list[this.#r(list.length)] as T;
  }

  /** True in one of `n` cases. */
  #rarely(n: number): boolean {
    return this.#r(n) === 0;
  }

  #host(short: string): string {
    return `${short}.r${this.#n}.test`;
  }

  #object(kind: string, name: string, spec: Text): Text {
    const apiVersion = `networking.istio.io/${this.#one(["v1alpha3", "v1beta1", "v1"])}`;
    return { apiVersion, kind, metadata: { name: `r${this.#n}-${name}`, namespace: "default" }, spec };
  }

  services(ports: UpstreamPorts): Text[] {
    const entry = (short: string, endpoints: Text[], more: Text = {}) =>
      this.#object("ServiceEntry", short, {
        hosts: [this.#host(short === "w" ? "*.w" : short)],
        ports: ["http", "alt"].map((name, i) => ({
          number: i === 0 ? 80 : 8080,
          name,
          protocol: this.protocols[short as "a"]?.[i] ?? "HTTP",
        })),
        resolution: "STATIC",
        endpoints,
        ...more,
      });
    const at = (port: number, labels: Text = {}) => ({
      address: "127.0.0.1",
      ports: { http: port, alt: port },
      labels,
    });
    const versions = ports.a.map((p, i) => at(p, { version: `v${i + 1}`, ...(i < 2 ? { tier: "x" } : {}) }));
    return [
      entry("a", versions, { addresses: [`240.1.${this.#n >> 8}.${this.#n & 255}`] }),
      entry("b", [at(ports.b)]),
      entry("c", [at(ports.c)]),
      entry("w", [at(ports.w)]),
      // Nobody listens on port 1.
      entry("dead", [at(1)]),
      ...(this.protocols === HTTP_1 ? [] : [
        this.#object("DestinationRule", "c", {
          host: this.#host("c"),
          trafficPolicy: { connectionPool: { http: { useClientProtocol: true } } },
        }),
      ]),
      this.#object("DestinationRule", "a", {
        host: this.#host("a"),
        ...(this.#rarely(2)
          ? {
            trafficPolicy: {
              loadBalancer: { simple: this.#one(["ROUND_ROBIN", "RANDOM", "LEAST_REQUEST"]) },
            },
          }
          : {}),
        subsets: [
          ...["v1", "v2", "v3"].map((version) => ({ name: version, labels: { version } })),
          { name: "empty", labels: { version: "v9" } },
          { name: "x2", labels: { tier: "x", version: "v2" } },
        ],
      }),
    ];
  }

  virtualServices(): Text[] {
    const out: Text[] = [];
    const candidates = ["a", "b", "c", "*", "*.w", "x"];
    for (let n = 1 + this.#r(3); n > 0 && candidates.length > 0; n--) {
      const hosts: string[] = [];
      for (let h = 1 + this.#r(2); h > 0 && candidates.length > 0; h--) {
        const [short] = candidates.splice(this.#r(Math.min(candidates.length, 5)), 1);
        hosts.push(this.#host(short as string));
      }
      // A wildcard beside a host that it covers is refused.
      const wildcard = hosts.find((h) => h === this.#host("*"));
      if (wildcard !== undefined) hosts.splice(0, hosts.length, wildcard);
      const http = Array.from({ length: 1 + this.#r(4) }, () => this.#http(out));
      if (this.#rarely(2)) {
        http.push(
          this.#rarely(2) ? this.#http(out, true) : { route: [{ destination: this.#destination() }] },
        );
      }
      const gateways = this.#rarely(6) ? { gateways: this.#rarely(4) ? ["other"] : ["mesh"] } : {};
      out.push(this.#object("VirtualService", `vs${out.length}`, { hosts, ...gateways, http }));
    }
    return out;
  }

  #http(out: Text[], last = false): Text {
    const match = last ? {} : { match: Array.from({ length: 1 + this.#r(2) }, () => this.#match()) };
    const name = this.#rarely(2) ? { name: `route-${++this.#names}` } : {};
    if (this.#rarely(10)) {
      const delegate = `leaf${out.length}`;
      const http = Array.from({ length: 1 + this.#r(2) }, () => ({
        ...(this.#rarely(3) ? {} : { match: [this.#match()] }),
      })).map((entry) => ({ ...entry, ...this.#action(entry.match) }));
      out.push(this.#object("VirtualService", delegate, { http }));
      return {
        ...name,
        ...match,
        delegate: { name: `r${this.#n}-${delegate}`, ...(this.#rarely(2) ? { namespace: "default" } : {}) },
      };
    }
    return { ...name, ...match, ...this.#action(last ? undefined : match.match) };
  }

  #string(exact: readonly string[], prefixes: readonly string[], regexes: readonly string[]): Text {
    switch (this.#r(3)) {
      case 0:
        return { exact: this.#one(exact) };
      case 1:
        return { prefix: this.#one(prefixes) };
      default:
        return { regex: this.#one(regexes) };
    }
  }

  #value(): Text {
    if (this.#rarely(5)) return {};
    return this.#string(VALUES, ["j", "jason", "gol", "a"], [
      "jas.*",
      "[a-z]+",
      ".*k=v",
      "(gold|1)",
      ".*",
      "\\d",
    ]);
  }

  #match(): Text {
    const m: Text = {};
    if (!this.#rarely(4)) {
      m["uri"] = this.#string(EXACT, PREFIXES, REGEXES);
      if (this.#rarely(5)) m["ignoreUriCase"] = true;
    }
    if (this.#rarely(3)) {
      m["headers"] = {
        [this.#one(NAMES)]: this.#value(),
        ...(this.#rarely(4) ? { [this.#one(NAMES)]: this.#value() } : {}),
      };
    }
    if (this.#rarely(6)) m["withoutHeaders"] = { [this.#one(NAMES)]: this.#value() };
    if (this.#rarely(5)) {
      m["queryParams"] = {
        [this.#one(["x", "y", "debug"])]: this.#rarely(4)
          ? {}
          : this.#string(["1", "", "true", "2"], ["1", "t"], ["[0-9]", "\\d+", "tr.e", ".*"]),
      };
    }
    if (this.#rarely(6)) {
      m["method"] = this.#string(["GET", "POST", "OPTIONS"], ["P", "GE"], ["GET|PUT", "P.*"]);
    }
    if (this.#rarely(12)) m["scheme"] = this.#string(["http", "https"], ["http"], ["https?"]);
    if (this.#rarely(8)) {
      m["authority"] = this.#string(
        [this.#host("a"), `${this.#host("a")}:8080`, this.#host("b")],
        ["a.", "b.r", "A."],
        ["[ab]\\..*", ".*:8080", "[^:]+"],
      );
    }
    if (this.#rarely(10)) m["port"] = this.#one([80, 8080, 9]);
    if (this.#rarely(12)) m["sourceLabels"] = { app: this.#one(["oracle", "oracle", "other"]) };
    if (this.#rarely(15)) m["sourceNamespace"] = this.#one(["default", "default", "elsewhere"]);
    if (this.#rarely(15)) m["gateways"] = this.#one([["mesh"], ["mesh", "other"], ["other"]]);
    if (this.#rarely(6)) m["name"] = `match-${++this.#names}`;
    // A match block must say something.
    if (Object.keys(m).every((k) => k === "name" || k === "ignoreUriCase")) {
      m["uri"] = { prefix: this.#one(PREFIXES) };
    }
    return m;
  }

  #destination(): Text {
    const [host, subset] = this.#one<[string, string?]>([
      ["a", "v1"],
      ["a", "v1"],
      ["a", "v2"],
      ["a", "v2"],
      ["a", "v3"],
      ["a", "x2"],
      ["a"],
      ["b"],
      ["b"],
      ["c"],
      ...(this.#rarely(8)
        ? [["a", "empty"], ["a", "nowhere"], ["gone"], ["dead"]] as [string, string?][]
        : []),
    ]);
    const port = this.#rarely(5)
      ? { port: { number: this.#one([80, 8080, ...(this.#rarely(8) ? [81] : [])]) } }
      : {};
    return { host: this.#host(host), ...(subset === undefined ? {} : { subset }), ...port };
  }

  #operations(response: boolean): Text {
    const value = () =>
      this.#one([
        "one",
        "two words",
        "100%%",
        "%REQ(end-user)%",
        "[%REQ(x-flag?end-user)%]",
        "%PROTOCOL%",
        "%REQ(:path)%",
        "%REQ(:authority)%",
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "%REQ(cookie):4%",
        "%REQ(:method)%",
        ...(response ? ["%RESP(x-resp)%", "%RESPONSE_CODE%"] : []),
      ]);
    const names = response
      ? ["x-resp", "x-added", "X-Other", "x-many"]
      : ["x-flag", "x-added", "X-Other", "end-user", "cookie"];
    const map = () =>
      Object.fromEntries(Array.from({ length: 1 + this.#r(2) }, () => [this.#one(names), value()]));
    const o: Text = {};
    if (this.#rarely(2)) o["set"] = map();
    if (this.#rarely(2)) o["add"] = map();
    if (this.#rarely(2)) o["remove"] = [this.#one(names)];
    return o;
  }

  #headers(): Text {
    const h: Text = {};
    if (!this.#rarely(3)) h["request"] = this.#operations(false);
    if (!this.#rarely(3)) h["response"] = this.#operations(true);
    if (this.#rarely(8)) h["request"] = { set: { [this.#one(["host", ":authority"])]: "by-header.test" } };
    return h;
  }

  #action(match: readonly Text[] | undefined): Text {
    const headers = this.#rarely(3) ? { headers: this.#headers() } : {};
    const kind = this.#r(10);
    if (kind === 0) return { redirect: this.#redirect(match), ...headers };
    if (kind === 1) return { directResponse: this.#direct(), ...headers };
    const action: Text = { route: this.#route(), ...headers };
    if (this.#rarely(4) && !JSON.stringify(action).includes("by-header")) action["rewrite"] = this.#rewrite();
    if (this.#rarely(8)) {
      const value = this.#one([100, 100, 0]);
      action["fault"] = {
        abort: {
          ...(this.#rarely(4) ? { grpcStatus: "UNAVAILABLE" } : { httpStatus: this.#one([400, 404, 503]) }),
          percentage: { value },
        },
      };
    }
    if (this.#rarely(6)) action["corsPolicy"] = this.#cors();
    if (this.#rarely(6)) action["timeout"] = "9s";
    if (this.#rarely(6)) {
      const attempts = this.#r(3);
      action["retries"] = {
        attempts,
        ...(attempts > 0 && this.#rarely(2) ? { perTryTimeout: "2s", retryOn: "5xx,connect-failure" } : {}),
      };
    }
    return action;
  }

  #route(): Text[] {
    const count = this.#one([1, 1, 2, 3]);
    const chosen = this.#r(count);
    return Array.from({ length: count }, (_, i) => ({
      destination: this.#destination(),
      ...(count === 1
        ? (this.#rarely(4) ? { weight: this.#one([0, 100]) } : {})
        : { weight: i === chosen ? 100 : 0 }),
      ...(this.#rarely(5) ? { headers: this.#headers() } : {}),
    }));
  }

  #redirect(match: readonly Text[] | undefined): Text {
    const r: Text = {};
    // Only a prefix can be replaced as one.
    const prefixed = (match ?? []).every((m) =>
      m["uri"] === undefined || (m["uri"] as Text)["prefix"] !== undefined
    );
    const path = this.#r(prefixed ? 3 : 1);
    if (path === 0) r["uri"] = this.#one(["/moved", "/moved?z=1", "/"]);
    else if (path === 1) r["prefixRewrite"] = this.#one(["/new", "/new/", "/"]);
    if (this.#rarely(2)) r["authority"] = this.#one(["other.test", "other.test:99"]);
    if (this.#rarely(3)) r["scheme"] = this.#one(["http", "https"]);
    if (this.#rarely(3)) r["redirectCode"] = this.#one([301, 302, 303, 307, 308]);
    if (this.#rarely(4)) r["port"] = this.#one([80, 443, 8443]);
    else if (this.#rarely(5)) r["derivePort"] = this.#one(["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]);
    return Object.keys(r).every((k) => k === "derivePort" || k === "redirectCode")
      ? { ...r, uri: "/moved" }
      : r;
  }

  #direct(): Text {
    const status = this.#one([200, 404, 418, 503]);
    const body = this.#one<Text | undefined>([undefined, { string: "hello %REQ(x)%" }, {
      bytes: btoa("bytes\n"),
    }]);
    return { status, ...(body === undefined ? {} : { body }) };
  }

  #rewrite(): Text {
    const w: Text = {};
    if (!this.#rarely(3)) w["uri"] = this.#one(["/", "/v1", "/v1/", "/new/path"]);
    else if (this.#rarely(2)) {
      w["uriRegexRewrite"] = this.#one([
        { match: "^/([^/]+)(.*)$", rewrite: "\\2/\\1" },
        { match: "a", rewrite: "[\\0]" },
        { match: "/+", rewrite: "/" },
        { match: "^/api/v([0-9]+)", rewrite: "/v\\1" },
      ]);
    }
    if (this.#rarely(2) || Object.keys(w).length === 0) {
      w["authority"] = this.#one(["rewritten.test", "rewritten.test:7"]);
    }
    return w;
  }

  #cors(): Text {
    const c: Text = {
      allowOrigins: [
        this.#one([{ exact: "http://shop.com" }, { prefix: "http://" }, {
          regex: "https?://(a\\.)?shop\\.com",
        }, { exact: "*" }]),
      ],
    };
    if (this.#rarely(2)) c["allowMethods"] = ["GET", "POST"];
    if (this.#rarely(2)) c["allowHeaders"] = ["x-flag", "end-user"];
    if (this.#rarely(2)) c["exposeHeaders"] = ["x-resp"];
    if (this.#rarely(2)) c["maxAge"] = "600s";
    if (this.#rarely(2)) c["allowCredentials"] = this.#rarely(2);
    if (this.#rarely(3)) c["unmatchedPreflights"] = this.#one(["FORWARD", "IGNORE"]);
    return c;
  }

  request(): RawRequest {
    const short = this.#one([
      "a",
      "a",
      "a",
      "b",
      "b",
      "c",
      "x",
      "q",
      "z.w",
      "y.z.w",
      "vip",
      "A",
      "a.",
      "other",
    ]);
    const host = short === "vip"
      ? `240.1.${this.#n >> 8}.${this.#n & 255}`
      : short === "a."
      ? `${this.#host("a")}.`
      : this.#host(short);
    const port = this.#one(["", "", "", ":80", ":8080", ":8080", ...(this.#rarely(6) ? [":81"] : [])]);
    const method = this.#one(METHODS);
    const headers: [string, string][] = [];
    for (const name of NAMES) {
      if (this.#rarely(3)) headers.push([name, this.#one(VALUES)]);
      if (this.#rarely(12)) headers.push([name, this.#one(VALUES)]);
    }
    if (this.#rarely(method === "OPTIONS" ? 1 : 5)) {
      headers.push(["Origin", this.#one(ORIGINS)]);
      if (method === "OPTIONS" && !this.#rarely(4)) {
        headers.push(["Access-Control-Request-Method", this.#one(["GET", "PUT"])]);
      }
      if (method === "OPTIONS" && this.#rarely(2)) headers.push(["Access-Control-Request-Headers", "x-flag"]);
    }
    // Answers of the proxy's own are gRPC-shaped for these.
    if (this.#rarely(15)) {
      headers.push([
        "Content-Type",
        this.#one(["application/grpc", "application/grpc+proto", "application/grpcx"]),
      ]);
    }
    const body = ["POST", "PUT", "PATCH"].includes(method) && !this.#rarely(3)
      ? this.#one(["x", "body text", "y".repeat(3000)])
      : "";
    return { method, url: `http://${host}${port}${this.#one(PATHS)}${this.#one(QUERIES)}`, headers, body };
  }
}

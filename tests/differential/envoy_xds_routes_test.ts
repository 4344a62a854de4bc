/**
 * Route tables in the JSON of the control plane, given to Envoy as they are and to the agent by way of agent/xds: one recorded
 * from istiod, and one of what only control planes and their patches send (header operations of every level, conditional ones,
 * inherited policies, path segments, https redirects).
 */
import assert from "node:assert/strict";
import { envoyBootstrap } from "../../agent/admin/envoy_bootstrap.ts";
import {
  type Cluster,
  EMPTY_PROGRAM,
  type Program,
  type RouteConfiguration,
} from "../../agent/model/model.ts";
import { decodeInlineRouteConfiguration } from "../../agent/xds/decode_route.ts";
import { findings } from "../../agent/xds/values.ts";
import { loadSchema, type Messages } from "../../protos/schema.ts";
import { startEnvoy } from "./envoy.ts";
import { differences, outcomeOf } from "./outcome.ts";
import { startOwnProxy } from "./own_proxy.ts";
import { RawClient, type RawRequest, Upstream } from "./raw_http.ts";

// Protojson.
// deno-lint-ignore no-explicit-any
type Json = any;

const schema = loadSchema();
const address = { hostname: "127.0.0.1", port: 0 };

function decode(table: Json): RouteConfiguration {
  const struct = schema.decode("Struct", schema.encode("Struct", schema.jsonToStruct(table)));
  const message: Messages["RouteConfiguration"] = schema.structToMessage("RouteConfiguration", struct);
  const found = findings({ kind: "RouteConfiguration" });
  const decoded = decodeInlineRouteConfiguration(schema, message, "", {}, found);
  assert.deepEqual(found.problems, []);
  return decoded;
}

function* clusterNames(value: Json): Generator<string> {
  if (typeof value !== "object" || value === null) return;
  for (const [key, v] of Object.entries(value)) {
    if (key === "cluster" && typeof v === "string") yield v;
    if (key === "clusters") { for (const { name } of v as { name: string }[]) yield name; }
    yield* clusterNames(v);
  }
}

/** Every cluster of the table leads to one of the upstreams, chosen by its number in the table. */
function programOf(table: Json, upstreams: readonly Upstream[]): Program {
  const clusters = new Map<string, Cluster>();
  for (const name of new Set(clusterNames(table))) {
    const { port } = upstreams[clusters.size % upstreams.length] as Upstream;
    clusters.set(name, {
      name,
      type: "STATIC",
      lbPolicy: "ROUND_ROBIN",
      connectTimeout: "1s",
      loadAssignment: {
        clusterName: name,
        endpoints: [{ lbEndpoints: [{ address: "127.0.0.1", port }] }],
      },
    });
  }
  return { ...EMPTY_PROGRAM, routeConfigurations: new Map([["80", decode(table)]]), clusters };
}

/** Envoy on the table as it stands, not on what the agent makes of it. */
function startEnvoyWith(table: Json, program: Program) {
  const bootstrap: Json = envoyBootstrap({ ...program, routeConfigurations: new Map() }, {
    listen: address,
    admin: address,
    outbound: "REGISTRY_ONLY",
  });
  bootstrap.staticResources.listeners[0].filterChains[0].filters[0].typedConfig.routeConfig = {
    ...table,
    validate_clusters: false,
  };
  return startEnvoy(bootstrap);
}

async function compare(table: Json, requests: readonly RawRequest[]): Promise<Map<number, number>> {
  const upstreams = ["a", "b", "c"].map((name) =>
    new Upstream(name, [["x-old", "up"], ["x-many", "1"], ["X-Many", "2"]])
  );
  const program = programOf(table, upstreams);
  const envoy = await startEnvoyWith(table, program);
  const own = startOwnProxy(program);
  const clients = [new RawClient(envoy.port), new RawClient(own.port)] as const;
  const statuses = new Map<number, number>();
  const wrong: string[] = [];
  try {
    for (const request of requests) {
      const [theirs, ours] = [await clients[0].send(request), await clients[1].send(request)]
        .map((response) => outcomeOf(response, false));
      assert.ok(theirs !== undefined && ours !== undefined);
      statuses.set(theirs.status, (statuses.get(theirs.status) ?? 0) + 1);
      const differing = differences(theirs, ours);
      if (differing.length > 0) {
        wrong.push(
          `${request.method} ${request.url} ${JSON.stringify(request.headers)}\n  ${differing.join("\n  ")}`,
        );
      }
    }
  } finally {
    for (const client of clients) client.close();
    await own.stop();
    await envoy.stop();
    await Promise.all(upstreams.map((u) => u.stop()));
  }
  assert.equal(
    wrong.length,
    0,
    `${wrong.length} of ${requests.length} differ\n\n${wrong.slice(0, 6).join("\n\n")}`,
  );
  return statuses;
}

const get = (url: string, headers: RawRequest["headers"] = [], method = "GET"): RawRequest => ({
  method,
  url,
  headers,
  body: "",
});

const set = (key: string, value: string, action?: string) => ({
  header: { key, value },
  ...(action === undefined ? {} : { append_action: action }),
});

/** All four actions at one level, and what tells the levels apart. */
const level = (name: string) => ({
  request_headers_to_add: [
    set("x-add", name),
    set("x-absent", name, "ADD_IF_ABSENT"),
    set("x-set", name, "OVERWRITE_IF_EXISTS_OR_ADD"),
    set("x-present", name, "OVERWRITE_IF_EXISTS"),
    set(`x-${name}`, `%REQ(x-set)% %REQ(x-gone)%`, "OVERWRITE_IF_EXISTS_OR_ADD"),
  ],
  request_headers_to_remove: [`x-gone-${name}`],
  response_headers_to_add: [
    set("x-old", name, "OVERWRITE_IF_EXISTS"),
    set("x-none", name, "OVERWRITE_IF_EXISTS"),
    set("x-many", name, "ADD_IF_ABSENT"),
    set("x-new", name, "ADD_IF_ABSENT"),
    set("x-add", name),
  ],
  response_headers_to_remove: [`x-gone-${name}`, ...(name === "route" ? ["x-many"] : [])],
});

const HTTP = "type.googleapis.com/envoy.extensions.filters.http";
const fault = (status: number) => ({
  "@type": `${HTTP}.fault.v3.HTTPFault`,
  abort: { http_status: status, percentage: { numerator: 100 } },
});
const cors = (more: object) => ({ "@type": `${HTTP}.cors.v3.CorsPolicy`, ...more });

const levelsTable = (mostSpecificWins: boolean) => ({
  name: "80",
  most_specific_header_mutations_wins: mostSpecificWins,
  ...level("table"),
  virtual_hosts: [
    {
      name: "levels",
      domains: ["levels"],
      ...level("host"),
      routes: [
        {
          match: { prefix: "/weighted" },
          ...level("route"),
          route: {
            weighted_clusters: {
              clusters: [{ name: "one", weight: 5, ...level("cluster") }, { name: "two", weight: 0 }],
            },
          },
        },
        {
          match: { prefix: "/direct" },
          ...level("route"),
          direct_response: { status: 418, body: { inline_string: "t" } },
        },
        { match: { prefix: "/redirect" }, redirect: { host_redirect: "x", strip_query: true } },
        { match: { path_separated_prefix: "/seg" }, route: { cluster: "one", prefix_rewrite: "/new" } },
        { match: { path_separated_prefix: "/SEG/b", case_sensitive: false }, route: { cluster: "two" } },
        {
          match: { prefix: "/", headers: [{ name: "x-n", range_match: { start: 1, end: 5 } }] },
          redirect: {
            prefix_rewrite: "/r/",
            port_redirect: 8443,
            scheme_redirect: "https",
            response_code: "SEE_OTHER",
          },
        },
        { match: { prefix: "/", grpc: {} }, route: { cluster: "two" } },
        {
          match: {
            prefix: "/",
            headers: [{ name: "x-a", present_match: false }, { name: "x-b", present_match: true }],
          },
          route: { cluster: "two" },
        },
        {
          match: {
            prefix: "/",
            headers: [{
              name: "x-c",
              string_match: { contains: "B", ignore_case: true },
              invert_match: true,
            }],
            query_parameters: [{ name: "q", string_match: { suffix: "z" } }, {
              name: "p",
              present_match: true,
            }],
          },
          route: { cluster: "one", regex_rewrite: { pattern: { regex: "/(.)" }, substitution: "\\1/" } },
        },
        { match: { prefix: "/" }, route: { cluster: "one" } },
      ],
    },
    {
      name: "filters",
      domains: ["filters", "*.filters"],
      typed_per_filter_config: {
        "envoy.filters.http.fault": fault(502),
        "envoy.filters.http.cors": cors({
          allow_origin_string_match: [{ prefix: "http://a" }],
          allow_methods: "PUT",
          max_age: "7",
          allow_credentials: true,
        }),
      },
      routes: [
        { match: { prefix: "/host" }, route: { cluster: "one" } },
        {
          match: { prefix: "/own" },
          route: { cluster: "one" },
          typed_per_filter_config: {
            "envoy.filters.http.fault": fault(504),
            "envoy.filters.http.cors": cors({ allow_methods: "GET" }),
          },
        },
        {
          match: { prefix: "/off" },
          route: { cluster: "one" },
          typed_per_filter_config: {
            "envoy.filters.http.fault": {
              "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
              disabled: true,
            },
            "envoy.filters.http.cors": cors({ allow_origin_string_match: [{ exact: "http://b" }] }),
          },
        },
      ],
    },
  ],
});

function levelRequests(): RawRequest[] {
  const requests: RawRequest[] = [];
  const sent: RawRequest["headers"][] = [
    [],
    [["x-add", "c"], ["x-absent", "c"], ["x-set", "c"], ["x-present", "c"], ["x-gone", "c"], [
      "x-gone-host",
      "c",
    ]],
    [["X-Set", ""], ["X-Gone-Cluster", "1"], ["x-gone-table", "2"]],
  ];
  for (const headers of sent) {
    for (const path of ["/weighted/1", "/direct?a", "/redirect?q=1", "/other"]) {
      requests.push(get(`http://levels${path}`, headers));
    }
  }
  for (const path of ["/seg", "/seg/", "/seg/b?q", "/segment", "/SEG/b/c", "/sEg/Bc", "/seg?q"]) {
    requests.push(get(`http://levels${path}`));
  }
  for (const n of ["0", "1", "4", "5", "x", "-1", "1.0", ""]) {
    requests.push(get("http://levels/n?q=1", [["x-n", n]]));
  }
  for (
    const type of ["application/grpc", "application/grpc+proto", "application/grpc-web", "application/json"]
  ) {
    requests.push(get("http://levels/p.S/M", [["content-type", type]], "POST"));
  }
  for (const a of [[], [["x-a", "1"]]] as [string, string][][]) {
    for (const b of [[], [["x-b", ""]]] as [string, string][][]) {
      requests.push(get("http://levels/ab", [...a, ...b]));
    }
  }
  for (const c of ["abc", "aBc", "ac"]) {
    for (const query of ["q=z&p", "q=az&p=1", "q=za&p", "q=z", "p&q=z", "Q=z&p"]) {
      requests.push(get(`http://levels/xy/z?${query}`, [["x-c", c]]));
    }
  }
  const preflight = (origin: string): RawRequest["headers"] => [
    ["origin", origin],
    ["access-control-request-method", "GET"],
  ];
  for (const path of ["/host", "/own", "/off", "/none"]) {
    for (const host of ["filters", "x.filters"]) {
      for (const origin of ["http://a", "http://ab", "http://b", "http://c"]) {
        requests.push(get(`http://${host}${path}`, preflight(origin), "OPTIONS"));
        requests.push(get(`http://${host}${path}`, [["origin", origin]]));
      }
    }
  }
  return requests;
}

for (const wins of [false, true]) {
  Deno.test(`envoy: levels of headers and filters, most specific ${wins ? "last" : "first"}`, async () => {
    const statuses = await compare(levelsTable(wins), levelRequests());
    for (const status of [200, 301, 303, 404, 418, 502, 504]) {
      assert.ok(statuses.has(status), `none is ${status}`);
    }
  });
}

Deno.test("envoy: require_tls answers plaintext with a redirect", async () => {
  const table = {
    name: "80",
    virtual_hosts: [{
      name: "tls",
      domains: ["*"],
      require_tls: "ALL",
      routes: [{ match: { prefix: "/" }, route: { cluster: "one" } }],
    }],
  };
  const urls = ["http://tls/", "http://tls/a?b=c"];
  assert.deepEqual(await compare(table, urls.map((url) => get(url))), new Map([[301, urls.length]]));
});

/** Without what is left to chance or takes seconds: the first of weighted clusters has all, faults happen always or never. */
function settled(value: Json): Json {
  if (Array.isArray(value)) return value.map(settled);
  if (typeof value !== "object" || value === null) return value;
  const {
    delay: _delay,
    request_mirror_policies: _mirrors,
    decorator: _decorator,
    metadata: _metadata,
    ...rest
  } = value;
  if (rest.abort !== undefined) rest.abort = { ...rest.abort, percentage: { numerator: 100 } };
  if (rest.weighted_clusters !== undefined) {
    rest.weighted_clusters = {
      clusters: rest.weighted_clusters.clusters.map((c: Json, i: number) => ({
        ...c,
        weight: i === 0 ? 10 : 0,
      })),
    };
  }
  return Object.fromEntries(Object.entries(rest).map(([key, v]) => [key, settled(v)]));
}

/** Requests that meet a route's match, and some that just miss it. */
function* requestsFor(domain: string, match: Json, random: () => number): Generator<RawRequest> {
  const path = match.path ?? match.prefix ?? SAMPLES[match.safe_regex?.regex] ?? "/";
  const paths = [path, `${path}x`, `${path}/a`, path.toUpperCase(), path.slice(0, -1) || "/"];
  const query = (match.query_parameters ?? [])
    .map((q: Json) => `${q.name}=${textFor(q.string_match)}`).join("&");
  for (let n = 0; n < 14; n++) {
    const headers: [string, string][] = [];
    let method = "GET";
    for (const h of match.headers ?? []) {
      const text = random() < 0.85 ? textFor(h.string_match) : "else";
      if (h.name === ":method") method = /^[A-Z]+$/.test(text) ? text : "POST";
      else if (!h.name.startsWith(":") && random() < 0.9) headers.push([h.name, text]);
    }
    if (random() < 0.4) {
      headers.push(["origin", ["https://exact.example.com", "https://a", "http://pre"][n % 3] as string]);
    }
    if (random() < 0.3) headers.push(["x-extra", "1"], ["cookie", "c=1"]);
    const at = paths[random() < 0.7 ? 0 : Math.floor(random() * paths.length)];
    yield get(`http://${domain}${at}${query === "" || random() < 0.2 ? "" : `?${query}`}`, headers, method);
  }
}

/** A text that meets the regular expressions of the recording. */
const SAMPLES: Readonly<Record<string, string>> = {
  "^re.*$": "re1",
  "[0-9]+": "42",
  "/items/[0-9]+(/.*)?": "/items/7",
  "GET|HEAD": "HEAD",
};

function textFor(m: Json): string {
  return m?.exact ?? m?.prefix ?? SAMPLES[m?.safe_regex?.regex] ?? "v1";
}

Deno.test("envoy: istiod's recorded kitchen sink decides and acts as in Envoy", async () => {
  const path = "../recordings/istiod-2026-08/kitchen_sink/sotw/004-rds-1.json";
  const answer: Json = JSON.parse(Deno.readTextFileSync(new URL(path, import.meta.url)));
  const table = settled(answer.resources.find((r: Json) => r.name === "80"));
  delete table["@type"];
  table.virtual_hosts = table.virtual_hosts.filter((h: Json) => h.name !== "allow_any");
  const state = { seed: 20261124 };
  const random = () => (state.seed = (Math.imul(state.seed, 1103515245) + 12345) & 0x7fffffff) / 0x80000000;
  const requests: RawRequest[] = [];
  for (const host of table.virtual_hosts) {
    for (const route of host.routes) {
      requests.push(...requestsFor(host.domains[0].replace("*", "w"), route.match, random));
    }
  }
  assert.equal(requests.length, 532);
  const statuses = await compare(table, requests);
  assert.deepEqual([...statuses.keys()].toSorted(), [200, 204, 301, 302, 308, 404, 418, 500]);
});

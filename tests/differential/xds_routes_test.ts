/** Every recorded route table and listener, decoded by agent/xds, against the protojson that the recorder wrote beside it. */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import type { Listener, RouteConfiguration } from "../../agent/model/model.ts";
import { EMPTY_PROGRAM } from "../../agent/model/model.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import { viewOf } from "../../agent/route/view.ts";
import { createCodec } from "../../agent/xds/codec.ts";
import type { RawResource, XdsCodec } from "../../agent/xds/types.ts";
import { routesOfIstiod, routesOfOurs } from "./istiod_model.ts";
import { tableOfPilot } from "./pilot_model.ts";

// Protojson as it is.
// deno-lint-ignore no-explicit-any
type Json = any;

const RECORDINGS = new URL("../recordings/", import.meta.url);

interface Recorded {
  readonly path: string;
  readonly resources: readonly RawResource[];
  /** The resources as protojson; absent when the recorder wrote none. */
  readonly json?: readonly Json[];
}

function* files(folder: URL): Generator<URL> {
  for (const entry of [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    const url = new URL(entry.isDirectory ? `${entry.name}/` : entry.name, folder);
    if (entry.isDirectory) yield* files(url);
    else yield url;
  }
}

function* recorded(codec: XdsCodec, server: string, type: "rds" | "lds"): Generator<Recorded> {
  for (const url of files(new URL(`${server}/`, RECORDINGS))) {
    const path = url.pathname.slice(RECORDINGS.pathname.length);
    if (!new RegExp(`/\\d+-${type}[^/]*\\.bin(\\.gz)?$`).test(path)) continue;
    const stored = Deno.readFileSync(url);
    const bytes = path.endsWith(".gz") ? new Uint8Array(gunzipSync(stored)) : stored;
    const { resources } = codec.decodeResponse(bytes, path.includes("delta"));
    yield { path, resources, ...jsonBeside(url) };
  }
}

function jsonBeside(url: URL): { json?: readonly Json[] } {
  if (!url.pathname.endsWith(".bin")) return {};
  let text: string;
  try {
    text = Deno.readTextFileSync(new URL(url.href.replace(/\.bin$/, ".json")));
  } catch {
    return {};
  }
  const unwrapped = (resource: Json): Json => resource.resource ?? resource.value ?? resource;
  return { json: JSON.parse(text).resources.map(unwrapped) };
}

function tableOf(codec: XdsCodec, raw: RawResource, path: string): RouteConfiguration {
  const origin = { kind: "RouteConfiguration", resource: raw.name, version: "7" };
  const result = codec.decodeRouteConfiguration(raw, origin).result();
  assert.ok("value" in result, `${path} ${raw.name}: ${JSON.stringify(result)}`);
  assert.deepEqual(result.notes, [], path);
  return result.value;
}

function listenerOf(codec: XdsCodec, raw: RawResource, path: string): Listener {
  const result = codec.decodeListener(raw, { kind: "Listener", resource: raw.name, version: "7" });
  assert.ok("value" in result, `${path} ${raw.name}: ${JSON.stringify(result)}`);
  for (const note of result.notes) assert.match(note.message, /^Cannot tunnel TCP/, path);
  return result.value;
}

/** Compiles every virtual host, as the first request of each would. */
function compile(table: RouteConfiguration): void {
  const tables = buildRouteTables({ ...EMPTY_PROGRAM, routeConfigurations: new Map([["80", table]]) });
  for (const host of table.virtualHosts) {
    for (const domain of host.domains) {
      tables.select(
        viewOf({ method: "GET", url: `http://${domain.replace("*", "a").replace(/[/:].*/, "")}/` }),
        0,
      );
    }
  }
}

/** Ours without origins, and with query parameters in the order that the reader of istiod's JSON gives them. */
function plain(value: RouteConfiguration | Listener): Json {
  const copy = routesOfOurs(new Map([["", value as RouteConfiguration]])).get("");
  const tables = [copy, ...(copy.filterChains ?? []).map((chain: Json) => chain.http?.routeConfig ?? {})];
  for (const host of tables.flatMap((table) => table.virtualHosts ?? [])) {
    for (const { match } of host.routes) {
      match.queryParameters?.sort((a: Json, b: Json) => a.name < b.name ? -1 : 1);
    }
  }
  return copy;
}

interface Counts {
  answers: number;
  tables: number;
  compared: number;
  hosts: number;
  routes: number;
}

function countTables(server: string, expected: (json: Json) => Json): Counts {
  const codec = createCodec();
  const counts: Counts = { answers: 0, tables: 0, compared: 0, hosts: 0, routes: 0 };
  for (const { path, resources, json } of recorded(codec, server, "rds")) {
    counts.answers++;
    resources.forEach((raw, i) => {
      const table = tableOf(codec, raw, path);
      assert.equal(table.name, raw.name, path);
      compile(table);
      counts.tables++;
      counts.hosts += table.virtualHosts.length;
      for (const host of table.virtualHosts) counts.routes += host.routes.length;
      if (json === undefined) return;
      assert.deepEqual(plain(table), expected(json[i]), `${path} ${raw.name}`);
      counts.compared++;
    });
  }
  return counts;
}

/** A listener's protojson in our model; `tableOf` reads its inline tables. */
function listenerOfJson(json: Json, tableOf: (table: Json) => Json): Json {
  const chain = (c: Json): Json => {
    const match = c.filter_chain_match ?? {};
    const ranges = match.prefix_ranges?.map((r: Json) => `${r.address_prefix}/${r.prefix_len}`);
    const names = match.server_names ?? match.sni_domains;
    const fields = {
      ...(match.destination_port === undefined ? {} : { destinationPort: match.destination_port }),
      ...(ranges === undefined ? {} : { prefixRanges: ranges }),
      ...(names === undefined ? {} : { serverNames: names }),
      ...(match.transport_protocol === undefined ? {} : { transportProtocol: match.transport_protocol }),
      ...(match.application_protocols === undefined
        ? {}
        : { applicationProtocols: match.application_protocols }),
    };
    const filter = c.filters.at(-1);
    const config = filter.typed_config ?? filter.config;
    const tcp = config.value?.stat_prefix === undefined ? config : {
      stat_prefix: config.value.stat_prefix,
      cluster: config.value.route_config.routes[0].cluster,
    };
    return {
      ...(c.name === undefined ? {} : { name: c.name }),
      ...(Object.keys(fields).length === 0 ? {} : { match: fields }),
      ...(/http_connection_manager$/.test(filter.name)
        ? {
          http: {
            statPrefix: config.stat_prefix,
            ...(config.rds === undefined
              ? { routeConfig: tableOf(config.route_config) }
              : { routeConfigName: config.rds.route_config_name }),
          },
        }
        : {
          tcp: {
            statPrefix: tcp.stat_prefix,
            ...(tcp.weighted_clusters === undefined
              ? { cluster: tcp.cluster }
              : { weightedClusters: tcp.weighted_clusters.clusters }),
            ...(tcp.idle_timeout === undefined ? {} : { idleTimeout: tcp.idle_timeout }),
            ...(tcp.max_downstream_connection_duration === undefined
              ? {}
              : { maxDownstreamConnectionDuration: tcp.max_downstream_connection_duration }),
          },
        }),
    };
  };
  const socket = json.address.socket_address;
  const bindToPort = json.bind_to_port ?? json.deprecated_v1?.bind_to_port;
  return {
    name: json.name,
    address: socket.address,
    port: socket.port_value,
    filterChains: json.filter_chains?.map(chain) ?? [],
    ...(json.default_filter_chain === undefined
      ? {}
      : { defaultFilterChain: chain(json.default_filter_chain) }),
    ...(json.traffic_direction === undefined ? {} : { trafficDirection: json.traffic_direction }),
    ...(bindToPort === undefined ? {} : { bindToPort }),
    ...(json.use_original_dst === undefined ? {} : { useOriginalDst: json.use_original_dst }),
  };
}

function countListeners(server: string, tableOf: (table: Json) => Json): Json {
  const codec = createCodec();
  const counts = { answers: 0, listeners: 0, compared: 0, rds: 0, inline: 0, tcp: 0 };
  for (const { path, resources, json } of recorded(codec, server, "lds")) {
    counts.answers++;
    resources.forEach((raw, i) => {
      const listener = listenerOf(codec, raw, path);
      counts.listeners++;
      for (const chain of listener.filterChains) {
        if (chain.tcp !== undefined) counts.tcp++;
        if (chain.http?.routeConfigName !== undefined) counts.rds++;
        if (chain.http?.routeConfig === undefined) continue;
        counts.inline++;
        compile(chain.http.routeConfig);
      }
      if (json === undefined) return;
      assert.deepEqual(plain(listener), listenerOfJson(json[i], tableOf), `${path} ${raw.name}`);
      counts.compared++;
    });
  }
  return counts;
}

function istiodTable(json: Json): Json {
  const table: Json = [...routesOfIstiod({ resources: [json] }).values()][0];
  for (const { route } of table.virtualHosts.flatMap((host: Json) => host.routes)) {
    // Inbound routes only: what the reader, made for outbound ones, does not know.
    if (Number.isNaN(route?.retryPolicy?.hostSelectionRetryMaxAttempts)) {
      delete route.retryPolicy.hostSelectionRetryMaxAttempts;
    }
    if (route?.maxStreamDuration === undefined) continue;
    route.maxGrpcTimeout = route.maxStreamDuration.grpcTimeoutHeaderMax;
    delete route.maxStreamDuration;
  }
  return table;
}

Deno.test("recorded tables of istiod decode to what its protojson says", () => {
  assert.deepEqual(countTables("istiod-2026-08", istiodTable), {
    answers: 39,
    tables: 100,
    compared: 86,
    hosts: 2303,
    routes: 2963,
  });
});

Deno.test("recorded tables of Pilot 0.8.0 decode to what its protojson says", () => {
  assert.deepEqual(countTables("pilot-0.8.0", tableOfPilot), {
    answers: 46,
    tables: 74,
    compared: 74,
    hosts: 117,
    routes: 252,
  });
});

Deno.test("recorded tables of Pilot 1.0.9 decode to what its protojson says", () => {
  assert.deepEqual(countTables("pilot-1.0.9", tableOfPilot), {
    answers: 14,
    tables: 22,
    compared: 22,
    hosts: 72,
    routes: 205,
  });
});

Deno.test("recorded listeners of istiod decode to what its protojson says", () => {
  assert.deepEqual(countListeners("istiod-2026-08", istiodTable), {
    answers: 37,
    listeners: 186,
    compared: 61,
    rds: 92,
    inline: 82,
    tcp: 254,
  });
});

Deno.test("recorded listeners of Pilot 0.8.0 decode to what its protojson says", () => {
  assert.deepEqual(countListeners("pilot-0.8.0", tableOfPilot), {
    answers: 31,
    listeners: 159,
    compared: 159,
    rds: 0,
    inline: 60,
    tcp: 99,
  });
});

Deno.test("recorded listeners of Pilot 1.0.9 decode to what its protojson says", () => {
  assert.deepEqual(countListeners("pilot-1.0.9", tableOfPilot), {
    answers: 4,
    listeners: 33,
    compared: 33,
    rds: 12,
    inline: 3,
    tcp: 19,
  });
});

/** The table of that name in one recorded answer. */
function tableIn(path: string, name: string): RouteConfiguration {
  const codec = createCodec();
  const bytes = Deno.readFileSync(new URL(path, RECORDINGS));
  const raw = codec.decodeResponse(bytes, false).resources.find((r) => r.name === name);
  assert.ok(raw !== undefined, `${path} has ${name}`);
  return tableOf(codec, raw, path);
}

Deno.test("0.8.0: weights above 100 in all, no timeout means Envoy's, http_proxy is called 0", () => {
  const before = tableIn("pilot-0.8.0/v2/istioserver/basic/004-rds.bin", "8084");
  const weights = (table: RouteConfiguration) =>
    table.virtualHosts[0]?.routes[0]?.route?.weightedClusters?.clusters.map((c) => c.weight);
  assert.deepEqual(weights(before), [25, 25, 50]);
  assert.equal(before.virtualHosts[0]?.routes[0]?.route?.timeout, undefined);
  const zeroed = tableIn("pilot-0.8.0/v2/istioserver/updates/010-rds.bin", "8084");
  assert.deepEqual(weights(zeroed), [100, 100, 100]);
  const proxy = tableIn("pilot-0.8.0/v2/bookinfo/basic/005-rds.bin", "0");
  assert.equal(proxy.virtualHosts.length, 5);
});

Deno.test("istiod: a route's origin is table, version, virtual host by name, index, and the rule", () => {
  const table = tableIn("istiod-2026-08/istioserver/sotw/004-rds-1.bin", "8084");
  assert.deepEqual(table.virtualHosts[0]?.routes[0]?.origin, {
    kind: "RouteConfiguration",
    resource: "8084",
    version: "7",
    field: 'virtual_hosts["istioserver.default.svc.cluster.local:8084"].routes[0]',
    from: "VirtualService default/istioserver",
  });
});

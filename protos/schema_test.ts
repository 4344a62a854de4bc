import assert from "node:assert/strict";
import { generate } from "../scripts/protos.ts";
import { loadSchema, messageOfTypeUrl, type Messages } from "./schema.ts";

const schema = loadSchema();
const D211 = { name: "MeshError", code: "D211" };

function struct(object: Readonly<Record<string, unknown>>): Messages["Struct"] {
  return schema.decode("Struct", schema.encode("Struct", schema.jsonToStruct(object)));
}

Deno.test("the descriptor is that of xds.proto", async () => {
  const { descriptor } = generate(await Deno.readTextFile(new URL("xds.proto", import.meta.url)));
  const { default: committed } = await import("./xds_descriptor.json", { with: { type: "json" } });
  assert.deepEqual(JSON.parse(descriptor), committed);
});

Deno.test("protobufjs is for the generator and for tests: the agent does without", async () => {
  const found: string[] = [];
  const walk = async (directory: string): Promise<void> => {
    for await (const entry of Deno.readDir(new URL(directory, import.meta.url))) {
      const path = directory + entry.name;
      if (entry.isDirectory) await walk(`${path}/`);
      else if (/(?<!_test)\.ts$/.test(path)) {
        const text = await Deno.readTextFile(new URL(path, import.meta.url));
        for (const [statement] of text.matchAll(/^.*["']protobufjs[^"']*["'].*$/gm)) {
          found.push(`${path}: ${statement.trim()}`);
        }
      }
    }
  };
  for (const directory of ["./", "../agent/"]) await walk(directory);
  assert.deepEqual(found, []);
});

Deno.test("absent fields have their defaults, members of a oneof are null", () => {
  const match = schema.decode("RouteMatch", new Uint8Array(0));
  assert.equal(match.path_specifier, undefined);
  assert.equal(match.prefix, null);
  assert.equal(match.safe_regex, null);
  assert.equal(match.case_sensitive, null);
  assert.deepEqual(match.headers, []);
  assert.equal(schema.decode("Cluster", new Uint8Array(0)).name, "");
  const empty = schema.decode("RouteMatch", Uint8Array.from([0x0a, 0]));
  assert.equal(empty.path_specifier, "prefix");
  assert.equal(empty.prefix, "");
});

Deno.test("64-bit numbers are numbers, also negative and large ones", () => {
  for (const value of [0, 1, -1, 4_294_967_295, -4_294_967_297, 9_007_199_254_740_991]) {
    const range = schema.decode("Int64Range", schema.encode("Int64Range", { start: value }));
    assert.equal(range.start, value);
  }
  const size = schema.encode("UInt64Value", { value: 8_589_934_592 });
  assert.equal(schema.decode("UInt64Value", size).value, 8_589_934_592);
});

Deno.test("a field of the v2 name and a new one of that name are told apart by number", () => {
  const bytes = schema.encode("RouteAction", { host_rewrite_literal: "a.example.com" });
  assert.deepEqual([...bytes.subarray(0, 2)], [6 << 3 | 2, 13]);
  const action = schema.decode("RouteAction", bytes);
  assert.equal(action.host_rewrite_specifier, "host_rewrite_literal");
  assert.equal(action.host_rewrite, null);
  const fromStruct = schema.structToMessage("RouteAction", struct({ host_rewrite: "b.example.com" }));
  assert.equal(fromStruct.host_rewrite_literal, "b.example.com");
  assert.equal(fromStruct.host_rewrite_specifier, "host_rewrite_literal");
});

const undecodable: readonly (readonly [string, keyof Messages, readonly number[]])[] = [
  ["a length beyond the end", "Cluster", [0x0a, 5, 0x61]],
  ["a tag without a field", "Cluster", [0x08]],
  ["field number 0", "Cluster", [0x00, 0x01]],
  ["a nested length beyond its message", "RouteConfiguration", [0x12, 2, 0x0a, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
  ["a string that is not UTF-8", "Locality", [0x0a, 1, 0xff]],
  ["a group without an end", "Locality", [0x2b]],
  ["a tag beyond 32 bits", "Locality", [0x8a, 0x80, 0x80, 0x80, 0x10, 0]],
  ["a length beyond 31 bits", "Locality", [0x0a, 0x80, 0x80, 0x80, 0x80, 0x10]],
  ["wire type 7", "Locality", [0x0f]],
];
for (const [what, name, bytes] of undecodable) {
  Deno.test(`undecodable: ${what}`, () => {
    assert.throws(() => schema.decode(name, Uint8Array.from(bytes)), D211);
  });
}

Deno.test("undecodable: nested without end", () => {
  let bytes = schema.encode("Value", { bool_value: true });
  for (let i = 0; i < 200; i++) {
    const list = Uint8Array.from([0x0a, ...varint(bytes.length), ...bytes]);
    bytes = Uint8Array.from([0x32, ...varint(list.length), ...list]);
  }
  assert.throws(() => schema.decode("Value", bytes), D211);
});

function varint(n: number): number[] {
  return n < 128 ? [n] : [n & 127 | 128, ...varint(n >>> 7)];
}

Deno.test("Struct: names in either spelling, wrappers, durations, enums, lists, maps", () => {
  const policy = schema.structToMessage(
    "RetryPolicy",
    struct({ retryOn: "5xx", num_retries: 3, perTryTimeout: "1.5s", retriable_status_codes: [503] }),
  );
  assert.equal(policy.retry_on, "5xx");
  assert.equal(policy.num_retries?.value, 3);
  assert.deepEqual({ ...policy.per_try_timeout }, { seconds: 1, nanos: 500_000_000 });
  assert.deepEqual(policy.retriable_status_codes, [503]);

  const fault = schema.structToMessage(
    "HTTPFault",
    struct({
      delay: { fixed_delay: "0.000000007s", percentage: { numerator: 5, denominator: "MILLION" } },
      abort: { http_status: 418, percentage: { numerator: "7", denominator: 1 } },
    }),
  );
  assert.deepEqual({ ...fault.delay?.fixed_delay }, { seconds: 0, nanos: 7 });
  assert.equal(fault.delay?.percentage?.denominator, 2);
  assert.equal(fault.abort?.error_type, "http_status");
  assert.equal(fault.abort?.percentage?.numerator, 7);
  assert.equal(fault.abort?.percentage?.denominator, 1);

  const route = schema.structToMessage(
    "Route",
    struct({
      match: { prefix: "/", case_sensitive: false },
      per_filter_config: { "envoy.fault": { abort: { http_status: 500 } } },
      redirect: { response_code: "TEMPORARY_REDIRECT" },
    }),
  );
  assert.equal(route.match?.case_sensitive?.value, false);
  assert.equal(route.action, "redirect");
  assert.equal(route.redirect?.response_code, 3);
  const own = schema.structToMessage("HTTPFault", route.per_filter_config["envoy.fault"]!);
  assert.equal(own.abort?.http_status, 500);
});

Deno.test("Struct: nulls and unknown names are skipped; a null among filters too (Pilot 0.8)", () => {
  const manager = schema.structToMessage(
    "HttpConnectionManager",
    struct({
      stat_prefix: "http",
      tracing: { anything: [1, { deep: true }] },
      rds: null,
      http_filters: [null, { name: "envoy.fault", config: { delay: null } }, { name: "envoy.router" }],
    }),
  );
  assert.equal(manager.route_specifier, undefined);
  assert.deepEqual(manager.http_filters.map(({ name }) => name), ["envoy.fault", "envoy.router"]);
  assert.ok(manager.http_filters[0]?.config);
});

Deno.test("Struct: an Any in JSON form becomes bytes of the message we know", () => {
  const url = "type.googleapis.com/envoy.config.filter.http.fault.v2.HTTPFault";
  const filter = schema.structToMessage(
    "HttpFilter",
    struct({ name: "envoy.fault", typed_config: { "@type": url, abort: { http_status: 503 } } }),
  );
  assert.equal(filter.typed_config?.type_url, url);
  assert.equal(schema.decode("HTTPFault", filter.typed_config!.value).abort?.http_status, 503);
  const unknown = schema.structToMessage(
    "HttpFilter",
    struct({ typed_config: { "@type": "type.googleapis.com/a.B", x: 1 } }),
  );
  assert.equal(unknown.typed_config?.value.length, 0);
});

const misfits: readonly (readonly [keyof Messages, Readonly<Record<string, unknown>>, RegExp])[] = [
  ["RetryPolicy", { retry_on: 5 }, /RetryPolicy\.retry_on: must be a text/],
  ["RetryPolicy", { num_retries: "many" }, /num_retries: must be a number/],
  ["RetryPolicy", { per_try_timeout: "1 minute" }, /per_try_timeout: must be a duration such as 1\.5s/],
  ["Route", { redirect: { response_code: "SOON" } }, /redirect\.response_code: must be a name of the enum/],
  ["Route", { redirect: { response_code: "toString" } }, /must be a name of the enum/],
  ["Route", { match: [] }, /match: must be an object/],
  ["RouteConfiguration", { virtual_hosts: {} }, /virtual_hosts: must be a list/],
  ["RouteConfiguration", { virtual_hosts: [{ routes: [7] }] }, /virtual_hosts\[0\]\.routes\[0\]: must be an/],
];
for (const [name, object, message] of misfits) {
  Deno.test(`Struct: ${JSON.stringify(object)} is no ${name}`, () => {
    assert.throws(() => schema.structToMessage(name, struct(object)), { ...D211, message });
  });
}

Deno.test("enum names", () => {
  assert.equal(schema.enumName("Cluster.DiscoveryType", 4), "ORIGINAL_DST");
  assert.equal(schema.enumName("Cluster.LbPolicy", 6), "CLUSTER_PROVIDED");
  assert.equal(schema.enumName("Cluster.LbPolicy", 99), undefined);
});

Deno.test("type URLs of every generation name the same message", () => {
  const extensions = "type.googleapis.com/envoy.extensions";
  const config = "type.googleapis.com/envoy.config.filter";
  const urls: readonly (readonly [string, string | undefined])[] = [
    [`${extensions}.upstreams.http.v3.HttpProtocolOptions`, "UpstreamHttpOptions"],
    [`${extensions}.filters.http.cors.v3.CorsPolicy`, "CorsFilterPolicy"],
    [
      `${extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      "HttpConnectionManager",
    ],
    [`${config}.network.http_connection_manager.v2.HttpConnectionManager`, "HttpConnectionManager"],
    [`${extensions}.filters.network.tcp_proxy.v3.TcpProxy`, "TcpProxy"],
    [`${config}.network.tcp_proxy.v2.TcpProxy`, "TcpProxy"],
    [`${config}.http.fault.v2.HTTPFault`, "HTTPFault"],
    [`${extensions}.filters.http.fault.v3.HTTPFault`, "HTTPFault"],
    [`${extensions}.transport_sockets.tls.v3.UpstreamTlsContext`, "UpstreamTlsContext"],
    ["type.googleapis.com/envoy.api.v2.auth.UpstreamTlsContext", "UpstreamTlsContext"],
    ["type.googleapis.com/udpa.type.v1.TypedStruct", "TypedStruct"],
    ["type.googleapis.com/xds.type.v3.TypedStruct", "TypedStruct"],
    ["type.googleapis.com/istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig", undefined],
    ["type.googleapis.com/toString", undefined],
    ["", undefined],
  ];
  for (const [url, name] of urls) assert.equal(messageOfTypeUrl(url), name, url);
});

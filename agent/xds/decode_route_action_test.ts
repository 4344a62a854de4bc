import assert from "node:assert/strict";
import type { Route } from "../model/model.ts";
import type { Messages, Partly } from "../../protos/schema.ts";
import { one, toA, type WireRoute } from "./decode_route_fixture.ts";

Deno.test("forwarding: rewrites, timeouts, retries, mirrors, hashing", () => {
  const seconds = (s: number, nanos = 0) => ({ seconds: s, nanos });
  const cases: [Partly<Messages["RouteAction"]>, Route["route"]][] = [
    [{}, {}],
    [{ timeout: seconds(0), max_grpc_timeout: seconds(0) }, { timeout: "0s", maxGrpcTimeout: "0s" }],
    [{ timeout: seconds(1, 500_000_000) }, { timeout: "1.500s" }],
    [{ max_stream_duration: { grpc_timeout_header_max: seconds(2) } }, { maxGrpcTimeout: "2s" }],
    [{ prefix_rewrite: "/b", host_rewrite_literal: "h" }, { prefixRewrite: "/b", hostRewriteLiteral: "h" }],
    [{ regex_rewrite: { pattern: { regex: "(a)" }, substitution: "\\1" } }, {
      regexRewrite: { pattern: { regex: "(a)" }, substitution: "\\1" },
    }],
    [{ retry_policy: { retry_on: "5xx", per_try_timeout: seconds(0) } }, {
      retryPolicy: { retryOn: "5xx", numRetries: 1 },
    }],
    [{
      retry_policy: {
        retry_on: "5xx",
        num_retries: { value: 0 },
        per_try_timeout: seconds(1),
        retriable_status_codes: [503],
        retry_back_off: { base_interval: seconds(0, 25_000_000), max_interval: seconds(1) },
        host_selection_retry_max_attempts: 5,
        retry_host_predicate: [{ name: "envoy.retry_host_predicates.previous_hosts" }],
        retry_priority: {
          name: "p",
          typed_config: {
            type_url: "type.googleapis.com/envoy.config.retry.previous_priorities.PreviousPrioritiesConfig",
            value: new Uint8Array([8, 3]),
          },
        },
      },
    }, {
      retryPolicy: {
        retryOn: "5xx",
        numRetries: 0,
        perTryTimeout: "1s",
        retriableStatusCodes: [503],
        retryBackOff: { baseInterval: "0.025s", maxInterval: "1s" },
        retryPriority: { updateFrequency: 3 },
        avoidPreviousHosts: true,
        hostSelectionRetryMaxAttempts: 5,
      },
    }],
    [{ request_mirror_policy: { cluster: "m", runtime_key: "k" } }, {
      requestMirrorPolicies: [{ cluster: "m" }],
    }],
    [{
      request_mirror_policies: [{
        cluster: "m",
        runtime_fraction: { default_value: { numerator: 5, denominator: 2 } },
        disable_shadow_host_suffix_append: true,
      }],
    }, {
      requestMirrorPolicies: [{
        cluster: "m",
        runtimeFraction: { numerator: 5, denominator: "MILLION" },
        disableShadowHostSuffixAppend: true,
      }],
    }],
    [{
      hash_policy: [
        { header: { header_name: "x" } },
        { cookie: { name: "c", ttl: seconds(0), path: "/", attributes: [{ name: "a", value: "b" }] } },
        { connection_properties: { source_ip: true } },
        { query_parameter: { name: "q" } },
      ],
    }, {
      hashPolicy: [
        { header: { headerName: "x" } },
        { cookie: { name: "c", ttl: "0s", path: "/", attributes: [{ name: "a", value: "b" }] } },
        { connectionProperties: { sourceIp: true } },
        { queryParameter: { name: "q" } },
      ],
    }],
    [{ use_websocket: { value: true }, auto_host_rewrite: { value: false } }, {}],
  ];
  for (const [wire, want] of cases) {
    const { route, notes } = one({ match: { prefix: "/" }, route: { cluster: "c", ...wire } });
    assert.deepEqual(route.route, { cluster: "c", ...want }, JSON.stringify(wire));
    assert.deepEqual(notes, []);
  }
});

Deno.test("weighted clusters: shares of the sum, whatever total_weight says", () => {
  const { route } = one({
    match: { prefix: "/" },
    route: {
      weighted_clusters: {
        total_weight: { value: 100 },
        clusters: [
          { name: "a", weight: { value: 100 } },
          {
            name: "b",
            weight: { value: 100 },
            host_rewrite_literal: "hb",
            request_headers_to_remove: ["x-r"],
            response_headers_to_add: [{ header: { key: "x-v", value: "b" } }],
          },
          { name: "c" },
        ],
      },
    },
  });
  assert.deepEqual(route.route?.weightedClusters?.clusters, [
    { name: "a", weight: 100 },
    {
      name: "b",
      weight: 100,
      requestHeadersToRemove: ["x-r"],
      responseHeadersToAdd: [{
        header: { key: "x-v", value: "b" },
        appendAction: "APPEND_IF_EXISTS_OR_ADD",
      }],
      hostRewriteLiteral: "hb",
    },
    { name: "c", weight: 0 },
  ]);
});

Deno.test("redirects and direct responses", () => {
  const cases: [WireRoute, Partial<Route>][] = [
    [{ redirect: { https_redirect: true } }, { redirect: { schemeRedirect: "https", responseCode: 301 } }],
    [
      {
        redirect: {
          scheme_redirect: "http",
          host_redirect: "h",
          port_redirect: 81,
          path_redirect: "/p",
          response_code: 4,
          strip_query: true,
        },
      },
      {
        redirect: {
          pathRedirect: "/p",
          hostRedirect: "h",
          schemeRedirect: "http",
          portRedirect: 81,
          stripQuery: true,
          responseCode: 308,
        },
      },
    ],
    [{ redirect: { prefix_rewrite: "/x" } }, { redirect: { prefixRewrite: "/x", responseCode: 301 } }],
    [{ direct_response: { status: 204 } }, { directResponse: { status: 204 } }],
    [{ direct_response: { status: 200, body: { inline_string: "b" } } }, {
      directResponse: { status: 200, body: { inlineString: "b" } },
    }],
    [{ direct_response: { status: 200, body: { inline_bytes: new Uint8Array([0, 255]) } } }, {
      directResponse: { status: 200, body: { inlineBytes: "AP8=" } },
    }],
  ];
  for (const [wire, want] of cases) {
    const { route } = one({ match: { prefix: "/" }, ...wire });
    assert.deepEqual(route, { match: { prefix: "/" }, ...want }, JSON.stringify(wire));
  }
});

Deno.test("header operations: append wrapper, append_action, 0.8's place, what cannot be changed", () => {
  const option = (key: string, more: object = {}) => ({ header: { key, value: "v" }, ...more });
  const { route, notes } = one({
    ...toA,
    request_headers_to_add: [
      option("x-1"),
      option("x-2", { append: { value: false } }),
      option("x-3", { append: { value: true }, append_action: 2 }),
      option("x-4", { append_action: 1 }),
      option("x-5", { append_action: 2 }),
      option("x-6", { append_action: 3 }),
      option("Host"),
      option(":authority"),
    ],
    response_headers_to_remove: ["x-7", ":status"],
  });
  assert.deepEqual(route.requestHeadersToAdd?.map((o) => `${o.header.key} ${o.appendAction}`), [
    "x-1 APPEND_IF_EXISTS_OR_ADD",
    "x-2 OVERWRITE_IF_EXISTS_OR_ADD",
    "x-3 APPEND_IF_EXISTS_OR_ADD",
    "x-4 ADD_IF_ABSENT",
    "x-5 OVERWRITE_IF_EXISTS_OR_ADD",
    "x-6 OVERWRITE_IF_EXISTS",
  ]);
  assert.deepEqual(route.responseHeadersToRemove, ["x-7"]);
  assert.deepEqual(notes.map((n) => n.split(":")[0]), [
    "virtual_hosts[0].routes[0].request_headers_to_add[6].header.key",
    "virtual_hosts[0].routes[0].request_headers_to_add[7].header.key",
    "virtual_hosts[0].routes[0].response_headers_to_remove[1]",
  ]);
  const old = one({
    match: { prefix: "/" },
    route: {
      cluster: "c",
      request_headers_to_add: [option("x-o")],
      response_headers_to_remove: ["x-p"],
    },
  }).route;
  assert.deepEqual(old.requestHeadersToAdd?.map((o) => o.header.key), ["x-o"]);
  assert.deepEqual(old.responseHeadersToRemove, ["x-p"]);
});

Deno.test("actions that cannot be executed are answered 501, with a note", () => {
  const forward = (route: Partly<Messages["RouteAction"]>): WireRoute => ({ match: { prefix: "/" }, route });
  const cases: [WireRoute, string][] = [
    [forward({ cluster_header: "x-cluster" }), "route.cluster_header"],
    [forward({ cluster_specifier_plugin: "p" }), "route.cluster_specifier_plugin"],
    [forward({ inline_cluster_specifier_plugin: {} }), "route.inline_cluster_specifier_plugin"],
    [
      forward({ weighted_clusters: { clusters: [{ cluster_header: "x", weight: { value: 1 } }] } }),
      "route.weighted_clusters.clusters.cluster_header",
    ],
    [
      forward({ cluster: "c", metadata_match: { filter_metadata: { "envoy.lb": {} } } }),
      "route.metadata_match",
    ],
    [forward({ cluster: "c", path_rewrite: "%PATH%" }), "route.path_rewrite"],
    [forward({ cluster: "c", path_rewrite_policy: { name: "p" } }), "route.path_rewrite_policy"],
    [{ match: { prefix: "/" }, filter_action: {} }, "filter_action"],
    [{ match: { prefix: "/" }, non_forwarding_action: {} }, "non_forwarding_action"],
    [
      { match: { prefix: "/" }, redirect: { regex_rewrite: { pattern: { regex: "a" }, substitution: "b" } } },
      "redirect.regex_rewrite",
    ],
    [{ match: { prefix: "/" }, redirect: { scheme_redirect: "ftp" } }, "redirect.scheme_redirect"],
  ];
  for (const [wire, field] of cases) {
    const { route, notes } = one(wire);
    assert.equal(route.directResponse?.status, 501, field);
    assert.equal(route.route, undefined);
    assert.equal(notes.length, 1);
    assert.match(notes[0] as string, /answered 501$/);
    assert.ok(notes[0]?.startsWith(`virtual_hosts[0].routes[0].${field}: `), notes[0] ?? "no note");
  }
});

Deno.test("what is left out of a route that works is noted", () => {
  const cases: [Partly<Messages["RouteAction"]>, RegExp][] = [
    [{ auto_host_rewrite: { value: true } }, /route.auto_host_rewrite: Cannot rewrite Host/],
    [{ host_rewrite_header: "x" }, /route.host_rewrite_header: Cannot rewrite Host/],
    [{ host_rewrite: "%A%" }, /route.host_rewrite: Cannot rewrite Host/],
    [{ retry_policy: { retriable_headers: [{ name: "x" }] } }, /retriable_headers: Cannot retry by/],
    [{ retry_policy: { retriable_request_headers: [{ name: "x" }] } }, /request_headers: Cannot retry/],
    [{ hash_policy: [{ filter_state: { key: "k" } }] }, /hash_policy\[0\]: Cannot hash/],
    [{ request_mirror_policies: [{ cluster_header: "x" }] }, /policies\[0\]: Cannot mirror/],
  ];
  for (const [wire, note] of cases) {
    const { route, notes } = one({ match: { prefix: "/" }, route: { cluster: "c", ...wire } });
    assert.equal(route.route?.cluster, "c");
    assert.equal(notes.length, 1, String(note));
    assert.match(notes[0] as string, note);
  }
});

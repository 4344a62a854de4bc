import assert from "node:assert/strict";
import type { Messages, Partly } from "../../protos/schema.ts";
import { any, good, HTTP_FAULT, one, schema, toA, type WireRoute } from "./decode_route_fixture.ts";

const CORS = "envoy.extensions.filters.http.cors.v3.CorsPolicy";
const filtersOf = (wire: WireRoute) => one({ ...toA, ...wire });

Deno.test("faults: whole percents of 0.8 as Struct, fractions as Any, wrapped ones, conditional ones", () => {
  const name = "envoy.filters.http.fault";
  const old = filtersOf({
    per_filter_config: {
      mixer: schema.jsonToStruct({ mixer_attributes: {} }),
      "envoy.fault": schema.jsonToStruct({
        delay: { fixed_delay: "7s", percent: 10, type: "FIXED" },
        abort: { http_status: 418, percent: 100 },
      }),
    },
  });
  assert.deepEqual(old.route.typedPerFilterConfig, {
    [name]: {
      delay: { fixedDelay: "7s", percentage: { numerator: 10, denominator: "HUNDRED" } },
      abort: { httpStatus: 418, percentage: { numerator: 100, denominator: "HUNDRED" } },
    },
  });
  const fault = { abort: { grpc_status: 14, percentage: { numerator: 7, denominator: 1 } } };
  const want = {
    [name]: { abort: { grpcStatus: 14, percentage: { numerator: 7, denominator: "TEN_THOUSAND" } } },
  };
  const typed = any(HTTP_FAULT, "HTTPFault", fault);
  const struct = any("xds.type.v3.TypedStruct", "TypedStruct", {
    type_url: HTTP_FAULT,
    value: schema.jsonToStruct({
      abort: { grpcStatus: 14, percentage: { numerator: 7, denominator: "TEN_THOUSAND" } },
    }),
  });
  const wrapped = any("envoy.config.route.v3.FilterConfig", "FilterConfig", { config: typed });
  for (const config of [typed, struct, wrapped]) {
    assert.deepEqual(
      filtersOf({ typed_per_filter_config: { any: config } }).route.typedPerFilterConfig,
      want,
      config.type_url,
    );
  }
  const none = filtersOf({
    typed_per_filter_config: { [name]: any(HTTP_FAULT, "HTTPFault", { delay: {} }) },
  });
  assert.equal(none.route.typedPerFilterConfig, undefined);
  const some = filtersOf({
    typed_per_filter_config: {
      [name]: any(HTTP_FAULT, "HTTPFault", { ...fault, headers: [{ name: "x", exact_match: "y" }] }),
    },
  });
  assert.equal(some.route.typedPerFilterConfig, undefined);
  assert.match(
    some.notes[0] as string,
    /typed_per_filter_config\["envoy.filters.http.fault"\].headers: Cannot/,
  );
});

Deno.test("CORS: 0.8's field with a Go duration, its switch, regex lists, the filter's own message", () => {
  const name = "envoy.filters.http.cors";
  const field = (cors: Partly<Messages["CorsPolicy"]>) =>
    one({ match: { prefix: "/" }, route: { cluster: "c", cors } }).route.typedPerFilterConfig?.[name];
  const old = {
    allow_origin: ["http://a", "*"],
    allow_methods: "GET,PUT",
    max_age: "1h0m1.9s",
    allow_credentials: { value: true },
  };
  assert.deepEqual(field({ ...old, enabled: { value: true } }), {
    allowOriginStringMatch: [{ exact: "http://a" }, { exact: "*" }],
    allowMethods: "GET,PUT",
    maxAge: "3601",
    allowCredentials: true,
  });
  assert.equal(field({ ...old, enabled: { value: false } }), undefined);
  assert.equal(field({ ...old, filter_enabled: { default_value: { numerator: 0 } } }), undefined);
  assert.deepEqual(field({ allow_origin_regex: ["h.*"], max_age: "60" }), {
    allowOriginStringMatch: [{ safeRegex: { regex: "h.*" } }],
    maxAge: "60",
  });
  const own = filtersOf({
    typed_per_filter_config: {
      [name]: any(CORS, "CorsFilterPolicy", {
        allow_origin_string_match: [{ prefix: "http://b" }],
        forward_not_matching_preflights: { value: false },
        filter_enabled: { default_value: { numerator: 50 } },
      }),
    },
  });
  assert.deepEqual(own.route.typedPerFilterConfig?.[name], {
    allowOriginStringMatch: [{ prefix: "http://b" }],
    forwardNotMatchingPreflights: false,
  });
  assert.match(own.notes[0] as string, /filter_enabled: Cannot apply CORS to a share/);
});

Deno.test("virtual host and table speak for routes that say nothing", () => {
  const fault = (status: number) =>
    any(HTTP_FAULT, "HTTPFault", { abort: { http_status: status, percentage: { numerator: 1 } } });
  const key = "envoy.filters.http.fault";
  const off = any("envoy.config.route.v3.FilterConfig", "FilterConfig", { disabled: true });
  const table = good({
    request_mirror_policies: [{ cluster: "mt" }],
    typed_per_filter_config: { [key]: fault(501) },
    virtual_hosts: [{
      name: "a",
      domains: ["a"],
      retry_policy: { retry_on: "reset" },
      cors: { allow_origin: ["http://v"], allow_methods: "GET", max_age: "5" },
      typed_per_filter_config: { [key]: fault(502) },
      routes: [
        toA,
        {
          match: { prefix: "/" },
          route: { cluster: "b", retry_policy: { retry_on: "5xx" }, cors: { allow_methods: "PUT" } },
          typed_per_filter_config: { [key]: off },
        },
      ],
    }, { name: "b", domains: ["b"], request_mirror_policies: [{ cluster: "mv" }], routes: [toA] }],
  });
  const [first, second] = table.virtualHosts[0]?.routes ?? [];
  const [other] = table.virtualHosts[1]?.routes ?? [];
  assert.equal(first?.route?.retryPolicy?.retryOn, "reset");
  assert.equal(second?.route?.retryPolicy?.retryOn, "5xx");
  assert.deepEqual(first?.route?.requestMirrorPolicies, [{ cluster: "mt" }]);
  assert.deepEqual(other?.route?.requestMirrorPolicies, [{ cluster: "mv" }]);
  assert.equal(first?.typedPerFilterConfig?.[key]?.abort?.httpStatus, 502);
  assert.equal(other?.typedPerFilterConfig?.[key]?.abort?.httpStatus, 501);
  assert.equal(second?.typedPerFilterConfig?.[key], undefined);
  assert.deepEqual(second?.typedPerFilterConfig?.["envoy.filters.http.cors"], {
    allowOriginStringMatch: [{ exact: "http://v" }],
    allowMethods: "PUT",
    maxAge: "5",
  });
});

Deno.test("header operations of virtual host and table stay at their level", () => {
  const add = (key: string) => [{ header: { key, value: "v" } }];
  const table = good({
    response_headers_to_add: add("x-t"),
    request_headers_to_remove: ["x-u"],
    most_specific_header_mutations_wins: true,
    virtual_hosts: [{ name: "a", domains: ["A.B"], request_headers_to_add: add("x-v"), routes: [toA] }],
  });
  assert.equal(table.responseHeadersToAdd?.[0]?.header.key, "x-t");
  assert.deepEqual(table.requestHeadersToRemove, ["x-u"]);
  assert.equal(table.mostSpecificHeaderMutationsWins, true);
  assert.equal(table.virtualHosts[0]?.requestHeadersToAdd?.[0]?.header.key, "x-v");
  assert.deepEqual(table.virtualHosts[0]?.domains, ["a.b"]);
});

Deno.test("require_tls sends plaintext to https before all else", () => {
  const table = good({ virtual_hosts: [{ name: "a", domains: ["a"], require_tls: 2, routes: [toA] }] });
  assert.deepEqual(table.virtualHosts[0]?.routes[0], {
    match: { prefix: "", headers: [{ name: ":scheme", stringMatch: { exact: "http" } }] },
    redirect: { schemeRedirect: "https", responseCode: 301 },
  });
});

import assert from "node:assert/strict";
import type { Messages, Partly } from "../../protos/schema.ts";
import { any, decode, hosts, HTTP_FAULT, origin, type Table, toA } from "./decode_route_fixture.ts";

Deno.test("what Envoy would refuse, or cannot be tested here, refuses the table and names the field", () => {
  const host = (more: Partly<Messages["VirtualHost"]>): Table => ({
    virtual_hosts: [{ name: "h", domains: ["h"], routes: [toA], ...more }],
  });
  const match = (m: Partly<Messages["RouteMatch"]>): Table => hosts({ ...toA, match: m });
  const action = (route: Partly<Messages["RouteAction"]>): Table => hosts({ match: { prefix: "/" }, route });
  const header = (h: Partly<Messages["HeaderMatcher"]>): Table => match({ prefix: "/", headers: [h] });
  const R = "virtual_hosts[0].routes[0]";
  const cases: [Table, string, RegExp][] = [
    [host({ name: "" }), "virtual_hosts[0].name", /without a name/],
    [host({ domains: [] }), "virtual_hosts[0].domains", /"h": it has no domains/],
    [host({ domains: ["a", "A"] }), "virtual_hosts[0].domains[1]", /domain "a" .* "h" has it/],
    [
      { virtual_hosts: [{ name: "g", domains: ["*"] }, { name: "h", domains: ["b", "*"] }] },
      "virtual_hosts[1].domains[1]",
      /domain "\*" to virtual host "h": "g" has it/,
    ],
    [host({ matcher: {} }), "virtual_hosts[0].matcher", /by a matcher/],
    [{ vhost_header: "x" }, "vhost_header", /by header "x"/],
    [
      { ignore_path_parameters_in_path_matching: true },
      "ignore_path_parameters_in_path_matching",
      /parameters/,
    ],
    [hosts({ route: { cluster: "c" } }), `${R}.match`, /without a match/],
    [hosts({ match: { prefix: "/" } }), R, /without an action/],
    [match({}), `${R}.match`, /without a path/],
    [match({ path_match_policy: { name: "uri_template" } }), `${R}.match.path_match_policy`, /uri_template/],
    [match({ safe_regex: { regex: "(" } }), `${R}.match.safe_regex.regex`, /regex "\(": missing closing \)/],
    [match({ regex: "a(?=b)" }), `${R}.match.regex`, /RE2 syntax is wanted/],
    [match({ prefix: "/", runtime: { default_value: 50 } }), `${R}.match.runtime`, /share/],
    [match({ prefix: "/", runtime_fraction: {} }), `${R}.match.runtime_fraction`, /share/],
    [match({ prefix: "/", tls_context: {} }), `${R}.match.tls_context`, /TLS/],
    [match({ prefix: "/", dynamic_metadata: [{}] }), `${R}.match.dynamic_metadata`, /metadata/],
    [match({ prefix: "/", filter_state: [{}] }), `${R}.match.filter_state`, /state/],
    [match({ prefix: "/", cookies: [{ name: "c" }] }), `${R}.match.cookies`, /cookies/],
    [header({ exact_match: "a" }), `${R}.match.headers[0].name`, /without a name/],
    [
      header({ name: "a", value: "[", regex: { value: true } }),
      `${R}.match.headers[0].value`,
      /regex "\["/,
    ],
    [header({ name: "a", string_match: {} }), `${R}.match.headers[0].string_match`, /without a pattern/],
    [
      header({ name: "a", string_match: { custom: { name: "k" } } }),
      `${R}.match.headers[0].string_match`,
      /"k"/,
    ],
    [match({ prefix: "/", query_parameters: [{}] }), `${R}.match.query_parameters[0].name`, /without a name/],
    [action({}), `${R}.route`, /without a cluster/],
    [action({ cluster: "" }), `${R}.route`, /without a cluster/],
    [action({ weighted_clusters: {} }), `${R}.route.weighted_clusters`, /sum of their weights is 0/],
    [
      action({ weighted_clusters: { clusters: [{ name: "a" }, { name: "b", weight: { value: 0 } }] } }),
      `${R}.route.weighted_clusters`,
      /among 2 clusters/,
    ],
    [
      action({ weighted_clusters: { clusters: [{ weight: { value: 1 } }] } }),
      `${R}.route.weighted_clusters.clusters[0].name`,
      /without a name/,
    ],
    [
      action({ cluster: "c", regex_rewrite: { pattern: { regex: "a" }, substitution: "\\1" } }),
      `${R}.route.regex_rewrite.substitution`,
      /names a group/,
    ],
    [
      action({ cluster: "c", cors: { allow_origin_regex: ["["] } }),
      `${R}.route.cors.allow_origin_regex[0]`,
      /regex "\["/,
    ],
    [
      hosts({ match: { prefix: "/" }, redirect: { response_code: 9 } }),
      `${R}.redirect.response_code`,
      /response code "9"/,
    ],
    [
      hosts({ match: { prefix: "/" }, direct_response: { status: 199 } }),
      `${R}.direct_response.status`,
      /status "199"/,
    ],
    [
      hosts({
        ...toA,
        typed_per_filter_config: {
          f: any(HTTP_FAULT, "HTTPFault", { abort: { http_status: 7 } }),
        },
      }),
      `${R}.typed_per_filter_config["f"].abort.http_status`,
      /status "7"/,
    ],
    [
      hosts({ ...toA, request_headers_to_add: [{ header: { key: "a b", value: "" } }] }),
      `${R}.request_headers_to_add[0].header.key`,
      /no header name/,
    ],
    [
      hosts({ ...toA, request_headers_to_add: [{ header: { key: "a", value: "b\r\nc: d" } }] }),
      `${R}.request_headers_to_add[0].header.value`,
      /line end/,
    ],
    [action({ cluster: "c", prefix_rewrite: "/\r\nx: y" }), `${R}.route.prefix_rewrite`, /line end/],
    [action({ cluster: "c", host_rewrite_literal: "a\nb" }), `${R}.route.host_rewrite_literal`, /line end/],
    [
      action({
        weighted_clusters: { clusters: [{ name: "a", weight: { value: 1 }, host_rewrite_literal: "a\0" }] },
      }),
      `${R}.route.weighted_clusters.clusters[0].host_rewrite_literal`,
      /line end/,
    ],
    [
      action({ cluster: "c", regex_rewrite: { pattern: { regex: "a" }, substitution: "b\r" } }),
      `${R}.route.regex_rewrite.substitution`,
      /line end/,
    ],
    ...(["host_redirect", "path_redirect", "prefix_rewrite"] as const).map((
      field,
    ): [Table, string, RegExp] => [
      hosts({ match: { prefix: "/" }, redirect: { [field]: "a\r\n\r\n" } }),
      `${R}.redirect.${field}`,
      /line end/,
    ]),
    [
      hosts({ ...toA, response_headers_to_add: [{ header: { key: "a", value: "" }, append_action: 7 }] }),
      `${R}.response_headers_to_add[0].append_action`,
      /append_action 7/,
    ],
  ];
  for (const [table, field, message] of cases) {
    const result = decode(table);
    assert.ok("problems" in result, field);
    assert.equal(result.problems.length, 1, JSON.stringify(result.problems));
    const { code, where, message: text } = result.problems[0] as (typeof result.problems)[number];
    assert.equal(code, "D212");
    assert.deepEqual(where, { ...origin, field });
    assert.match(text, message);
  }
});

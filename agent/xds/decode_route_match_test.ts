import assert from "node:assert/strict";
import type { Route } from "../model/model.ts";
import type { Messages, Partly } from "../../protos/schema.ts";
import { one, toA } from "./decode_route_fixture.ts";

Deno.test("matches of each generation", () => {
  const cases: [Partly<Messages["RouteMatch"]>, Route["match"]][] = [
    [{ prefix: "/" }, { prefix: "/" }],
    [{ prefix: "" }, { prefix: "" }],
    [{ path: "/a", case_sensitive: { value: false } }, { path: "/a", caseSensitive: false }],
    [{ path: "/a", case_sensitive: { value: true } }, { path: "/a" }],
    [{ regex: "/a\\d+" }, { safeRegex: { regex: "/a\\d+" } }],
    [{ safe_regex: { regex: "/b.*" } }, { safeRegex: { regex: "/b.*" } }],
    [{ path_separated_prefix: "/a" }, { pathSeparatedPrefix: "/a" }],
    [{ connect_matcher: {} }, {
      prefix: "",
      headers: [{ name: ":method", stringMatch: { exact: "CONNECT" } }],
    }],
    [{ prefix: "/", grpc: {} }, {
      prefix: "/",
      headers: [{ name: "content-type", stringMatch: { safeRegex: { regex: "application/grpc(\\+.*)?" } } }],
    }],
    [{ prefix: "/", runtime: { default_value: 100 } }, { prefix: "/" }],
    [{ prefix: "/", runtime_fraction: { default_value: { numerator: 10_000, denominator: 1 } } }, {
      prefix: "/",
    }],
  ];
  for (const [wire, want] of cases) {
    assert.deepEqual(one({ ...toA, match: wire }).route.match, want, JSON.stringify(wire));
  }
});

Deno.test("header matchers: 0.8 value and regex, 1.0 exact_match and its like, v3 string_match", () => {
  type Want = NonNullable<Route["match"]["headers"]>[number];
  const cases: [Partly<Messages["HeaderMatcher"]>, Omit<Want, "name">][] = [
    [{ value: "v" }, { stringMatch: { exact: "v" } }],
    [{ value: "v.*", regex: { value: true } }, { stringMatch: { safeRegex: { regex: "v.*" } } }],
    [{ value: "v", regex: { value: false } }, { stringMatch: { exact: "v" } }],
    [{}, { presentMatch: true }],
    [{ exact_match: "" }, { stringMatch: { exact: "" } }],
    [{ exact_match: "e" }, { stringMatch: { exact: "e" } }],
    [{ regex_match: "r+" }, { stringMatch: { safeRegex: { regex: "r+" } } }],
    [{ safe_regex_match: { regex: "s+" } }, { stringMatch: { safeRegex: { regex: "s+" } } }],
    [{ prefix_match: "p" }, { stringMatch: { prefix: "p" } }],
    [{ suffix_match: "s" }, { stringMatch: { suffix: "s" } }],
    [{ contains_match: "c" }, { stringMatch: { contains: "c" } }],
    [{ range_match: { start: -1, end: 5 } }, { rangeMatch: { start: -1, end: 5 } }],
    [{ present_match: false }, { presentMatch: false }],
    [{ present_match: true, invert_match: true }, { presentMatch: true, invertMatch: true }],
    [
      { string_match: { exact: "E", ignore_case: true }, treat_missing_header_as_empty: true },
      { stringMatch: { exact: "E", ignoreCase: true }, treatMissingHeaderAsEmpty: true },
    ],
    [{ string_match: { regex: "v2" } }, { stringMatch: { safeRegex: { regex: "v2" } } }],
  ];
  for (const [wire, want] of cases) {
    const { route } = one({ ...toA, match: { prefix: "/", headers: [{ name: "X-A", ...wire }] } });
    assert.deepEqual(route.match.headers, [{ name: "x-a", ...want }], JSON.stringify(wire));
  }
});

Deno.test("query matchers: v2 value and regex, later string_match", () => {
  const cases: [Partly<Messages["QueryParameterMatcher"]>, object][] = [
    [{}, { presentMatch: true }],
    [{ value: "v" }, { stringMatch: { exact: "v" } }],
    [{ value: "v+", regex: { value: true } }, { stringMatch: { safeRegex: { regex: "v+" } } }],
    [{ string_match: { prefix: "p" } }, { stringMatch: { prefix: "p" } }],
    [{ present_match: true }, { presentMatch: true }],
  ];
  for (const [wire, want] of cases) {
    const { route } = one({ ...toA, match: { prefix: "/", query_parameters: [{ name: "q", ...wire }] } });
    assert.deepEqual(route.match.queryParameters, [{ name: "q", ...want }], JSON.stringify(wire));
  }
});

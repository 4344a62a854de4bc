import assert from "node:assert/strict";
import type { HeaderValueOption, Route } from "../model/model.ts";
import { compileRoute, compileVirtualHost, type TableHeaders } from "./compile_route.ts";
import {
  applyHeaderOps,
  compileHeaderOps,
  type FormatContext,
  formatHeaderValue,
  parseHeaderFormat,
} from "./headers.ts";
import type { CompiledRoute, HeaderOps } from "./types.ts";

const option = (how: "set" | "add", key: string, value: string): HeaderValueOption => ({
  header: { key, value },
  appendAction: how === "set" ? "OVERWRITE_IF_EXISTS_OR_ADD" : "APPEND_IF_EXISTS_OR_ADD",
});

function run(ops: HeaderOps | null, lines: [string, string][]): [string, string][] {
  let out = [...lines];
  const context: FormatContext = {
    request: (name) => out.find(([k]) => k.toLowerCase() === name)?.[1],
    command: (name, argument) =>
      name === "PROTOCOL" ? "HTTP/1.1" : name === "ENVIRONMENT" ? `env ${argument}` : undefined,
  };
  const remove = (name: string) => out = out.filter(([k]) => k.toLowerCase() !== name);
  if (ops === null) return out;
  applyHeaderOps(ops, {
    has: (name) => out.some(([k]) => k.toLowerCase() === name),
    remove,
    set: (name, key, value) => {
      remove(name);
      out.push([key, value]);
    },
    add: (_, key, value) => out.push([key, value]),
  }, context);
  return out;
}

Deno.test("format strings: literals, percent signs, operators, lengths, alternatives", () => {
  const context: FormatContext = {
    request: (name) => ({ a: "12345", ":path": "/p" } as Record<string, string>)[name],
    response: (name) => name === "r" ? "resp" : undefined,
    command: (name) => name === "PROTOCOL" ? "HTTP/1.1" : undefined,
  };
  const value = (text: string) => {
    const parsed = parseHeaderFormat(text);
    return "error" in parsed ? `error: ${parsed.error}` : formatHeaderValue(parsed.parts, context);
  };
  assert.equal(value("100%%"), "100%");
  assert.equal(value("[%REQ(A)%]"), "[12345]");
  assert.equal(value("%REQ(A):2%"), "12");
  assert.equal(value("%REQ(none?A)%"), "12345");
  assert.equal(value("%REQ(:PATH)%"), "/p");
  assert.equal(value("%RESP(r)%-%PROTOCOL%"), "resp-HTTP/1.1");
  assert.equal(value("%UPSTREAM_HOST%"), "");
  assert.match(value("50% off"), /error: a single % at character 3/);
  assert.match(value("%WHAT%"), /error: %WHAT% is no operator/);
  assert.match(value("%REQ%"), /wants a name in brackets/);
});

Deno.test("one level: removals, then overwrites, then additions; empty values are skipped", () => {
  const ops = compileHeaderOps([{
    add: [
      option("add", "X-B", "added"),
      option("set", "x-a", "set"),
      option("set", "x-c", ""),
      option("set", "x-d", "%REQ(x-a)%"),
    ],
    remove: ["X-A"],
  }]);
  assert.deepEqual(ops?.steps.map((s) => `${s.action} ${s.name}`), [
    "remove x-a",
    "set x-a",
    "set x-c",
    "set x-d",
    "add x-b",
  ]);
  assert.deepEqual(run(ops, [["X-A", "1"], ["x-a", "2"], ["x-c", "keep"], ["x-b", "old"]]), [
    ["x-c", "keep"],
    ["x-b", "old"],
    ["x-a", "set"],
    ["X-B", "added"],
  ]);
});

Deno.test("values of one level do not see each other, values of a later level do", () => {
  const first = { add: [option("set", "a", "new"), option("set", "b", "%REQ(a)%")] };
  assert.deepEqual(run(compileHeaderOps([first]), [["a", "old"]]), [["a", "new"], ["b", "old"]]);
  assert.deepEqual(
    run(compileHeaderOps([first, { add: [option("set", "c", "%REQ(a)%")] }]), [["a", "old"]]),
    [
      ["a", "new"],
      ["b", "old"],
      ["c", "new"],
    ],
  );
});

Deno.test("levels: the cluster's run before the route's, so the route wins on set", () => {
  const route: Route = {
    match: { prefix: "/" },
    requestHeadersToAdd: [option("set", "x", "route")],
    route: {
      weightedClusters: {
        clusters: [
          {
            name: "v1",
            weight: 1,
            requestHeadersToAdd: [option("set", "x", "v1")],
            hostRewriteLiteral: "own",
          },
          { name: "v2", weight: 1, requestHeadersToRemove: ["y"] },
        ],
      },
    },
  };
  const [v1, v2] = compileRoute(route).destinations;
  assert.deepEqual(run(v1?.requestOps ?? null, []), [["x", "route"]]);
  assert.deepEqual(run(v2?.requestOps ?? null, [["y", "1"]]), [["x", "route"]]);
  assert.equal(v1?.hostRewrite, "own");
  assert.equal(v2?.hostRewrite, null);
  const both = compileRoute({ ...route, route: { ...route.route, hostRewriteLiteral: "route" } });
  assert.equal(both.destinations[0]?.hostRewrite, "route");
});

Deno.test("ADD_IF_ABSENT and OVERWRITE_IF_EXISTS look at the header before the level's first addition", () => {
  const option = (key: string, value: string, appendAction: HeaderValueOption["appendAction"]) => ({
    header: { key, value },
    appendAction,
  });
  const ops = compileHeaderOps([{
    remove: ["x-gone"],
    add: [
      option("x-new", "1", "ADD_IF_ABSENT"),
      option("x-new", "2", "ADD_IF_ABSENT"),
      option("x-old", "3", "ADD_IF_ABSENT"),
      option("x-old", "4", "OVERWRITE_IF_EXISTS"),
      option("x-none", "5", "OVERWRITE_IF_EXISTS"),
      option("x-gone", "6", "OVERWRITE_IF_EXISTS"),
    ],
  }]);
  assert.deepEqual(run(ops, [["X-Old", "a"], ["x-gone", "b"]]), [["x-old", "4"], ["x-new", "1"], [
    "x-new",
    "2",
  ]]);
});

Deno.test("virtual host and table: their levels come last, or first when the most specific shall win", () => {
  const set = (value: string) => ({
    requestHeadersToAdd: [{
      header: { key: "x", value },
      appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" as const,
    }],
  });
  const route = {
    match: { prefix: "/" },
    ...set("route"),
    route: { weightedClusters: { clusters: [{ name: "c", weight: 1, ...set("cluster") }] } },
  };
  const host = { name: "h", domains: ["h"], routes: [route], ...set("host") };
  const order = (table: TableHeaders | undefined) =>
    compileVirtualHost(host, table).routes[0]?.destinations[0]?.requestOps?.steps.map((s) => s.value?.[0]);
  assert.deepEqual(order(undefined), ["cluster", "route", "host"]);
  assert.deepEqual(order(set("table")), ["cluster", "route", "host", "table"]);
  assert.deepEqual(order({ ...set("table"), mostSpecificHeaderMutationsWins: true }), [
    "cluster",
    "table",
    "host",
    "route",
  ]);
  const { responseOps } = compileVirtualHost({
    ...host,
    routes: [{ match: { prefix: "/" }, directResponse: { status: 204 } }],
    responseHeadersToRemove: ["x-y"],
  }).routes[0] as CompiledRoute;
  assert.deepEqual(responseOps?.steps.map((s) => s.name), ["x-y"]);
});

import assert from "node:assert/strict";
import type { HeaderValueOption, Route } from "../model/model.ts";
import { compileRoute } from "./compile_route.ts";
import {
  applyHeaderOps,
  compileHeaderOps,
  type FormatContext,
  formatHeaderValue,
  parseHeaderFormat,
} from "./headers.ts";
import type { HeaderOps } from "./types.ts";

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

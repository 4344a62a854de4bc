import assert from "node:assert";
import { mergeMatch } from "./delegate.ts";
import type { HTTPMatchRequest } from "./resources.ts";

/** Rows of istio-semantics 1.11: root, leaf, merged (undefined = they contradict each other). */
const ROWS: readonly [string, HTTPMatchRequest, HTTPMatchRequest, HTTPMatchRequest | undefined][] = [
  ["only the root", { uri: { prefix: "/a" } }, {}, { uri: { prefix: "/a" } }],
  ["only the leaf", {}, { uri: { regex: "/a.*" } }, { uri: { regex: "/a.*" } }],
  ["longer prefix", { uri: { prefix: "/a" } }, { uri: { prefix: "/a/b" } }, { uri: { prefix: "/a/b" } }],
  ["prefix and exact", { uri: { prefix: "/a" } }, { uri: { exact: "/ab" } }, { uri: { exact: "/ab" } }],
  ["other prefix", { uri: { prefix: "/a" } }, { uri: { prefix: "/b" } }, undefined],
  ["exact and prefix", { uri: { exact: "/a" } }, { uri: { prefix: "/a" } }, undefined],
  ["equal exact", { method: { exact: "GET" } }, { method: { exact: "GET" } }, { method: { exact: "GET" } }],
  ["regex on both sides", { uri: { regex: "a" } }, { uri: { regex: "a" } }, undefined],
  [
    "headers of both",
    { headers: { a: { exact: "1" } } },
    { headers: { b: { exact: "2" } } },
    { headers: { a: { exact: "1" }, b: { exact: "2" } } },
  ],
  ["presence and value", { headers: { a: {} } }, { headers: { a: { exact: "1" } } }, undefined],
  ["case", { ignoreUriCase: true }, {}, undefined],
  ["ports", { port: 80 }, { port: 81 }, undefined],
  ["one port", { port: 80 }, {}, { port: 80 }],
  ["namespace that the leaf leaves out", { sourceNamespace: "a" }, {}, undefined],
  ["namespace of the leaf", {}, { sourceNamespace: "a" }, { sourceNamespace: "a" }],
  [
    "labels of both",
    { sourceLabels: { a: "1" } },
    { sourceLabels: { b: "2" } },
    { sourceLabels: { a: "1", b: "2" } },
  ],
  ["labels that differ", { sourceLabels: { a: "1" } }, { sourceLabels: { a: "2" } }, undefined],
  ["gateways", { gateways: ["mesh"] }, { gateways: ["mesh", "x"] }, undefined],
  ["names", { name: "r" }, { name: "l" }, { name: "r-l" }],
];

for (const [name, root, leaf, merged] of ROWS) {
  Deno.test(`delegated match: ${name}`, () => assert.deepStrictEqual(mergeMatch(root, leaf), merged));
}

import assert from "node:assert/strict";
import { cycles, graphOfInfo, type ImportGraph, layerOf, upwardImports } from "./arch.ts";
import plugin, { mayNameTheWorld } from "./lint/ports_rule.ts";

const graph = (edges: Record<string, string[]>): ImportGraph => new Map(Object.entries(edges));

/** Source of a made-up file in a pure folder -> what the rule reports. */
const reports = (source: string, file = "/repo/agent/route/x.ts"): string[] =>
  Deno.lint.runPlugin(plugin, file, source).map((d) => d.message.split(" belongs")[0]!);

Deno.test("arch: a folder may import itself and those above it", () => {
  assert.deepEqual(
    upwardImports(graph({
      "agent/route/a.ts": ["agent/core/b.ts", "agent/model/m.ts", "agent/route/c.ts"],
      "agent/agent.ts": ["agent/net/dial.ts", "agent/admin/admin.ts"],
      "agent/cli.ts": ["agent/agent.ts", "agent/cli/main.ts"],
      "mod.ts": ["agent/cli.ts", "agent/agent.ts"],
    })),
    [],
  );
});

Deno.test("arch: an import of a lower folder, a test or a script is a breach", () => {
  const breaches = upwardImports(graph({
    "agent/core/a.ts": ["agent/net/dial.ts"],
    "agent/route/b.ts": ["scripts/arch.ts", "agent/route/c_test.ts"],
    "agent/extra/x.ts": [],
  }));
  assert.equal(breaches.length, 4);
  assert.match(breaches[0]!, /core may not import agent\/net\/dial\.ts/);
  assert.match(breaches[3]!, /agent\/extra is not in the list/);
});

Deno.test("arch: tests and benches beside the code are free", () => {
  assert.equal(layerOf("agent/core/a_test.ts"), undefined);
  assert.deepEqual(upwardImports(graph({ "agent/core/a_bench.ts": ["agent/net/dial.ts"] })), []);
});

Deno.test("arch: cycles are found, also through types and across three files", () => {
  assert.deepEqual(
    cycles(
      graph({ "a.ts": ["b.ts"], "b.ts": ["c.ts"], "c.ts": ["a.ts", "d.ts"], "d.ts": [], "e.ts": ["e.ts"] }),
    ),
    [["a.ts", "b.ts", "c.ts"], ["e.ts"]],
  );
  assert.deepEqual(cycles(graph({ "a.ts": ["b.ts", "c.ts"], "b.ts": ["c.ts"], "c.ts": [] })), []);
});

Deno.test("arch: the graph holds code and type edges of the repository only", () => {
  const { graph: read, errors } = graphOfInfo(
    JSON.stringify({
      modules: [
        {
          specifier: "file:///r/agent/core/a.ts",
          dependencies: [
            { code: { specifier: "file:///r/agent/core/b.ts" } },
            { type: { specifier: "file:///r/agent/core/c.ts" } },
            { code: { specifier: "npm:/yaml@2.9.1" } },
          ],
        },
        { specifier: "file:///r/agent/core/b.ts", error: "Module not found" },
        { specifier: "file:///elsewhere/x.ts" },
      ],
    }),
    "file:///r/",
  );
  assert.deepEqual([...read], [["agent/core/a.ts", ["agent/core/b.ts", "agent/core/c.ts"]], [
    "agent/core/b.ts",
    [],
  ]]);
  assert.deepEqual(errors, ["agent/core/b.ts: Module not found"]);
});

Deno.test("law/ports: each forbidden name is caught in a pure folder", () => {
  const cases: [string, string[]][] = [
    ["export const a = Deno.args;", ["Deno"]],
    ["export type C = Deno.Conn;", ["Deno"]],
    ["export const d = globalThis.Deno;", ["Deno"]],
    ['export const d = globalThis["Deno"];', ["Deno"]],
    ["console.log(1);", ["console"]],
    ["setTimeout(() => {}, 1);", ["setTimeout"]],
    ["export const now = Date.now();", ["Date.now"]],
    ["export const f = { now: Date.now };", ["Date.now"]],
    ["export const d = new Date();", ["new Date()"]],
    ["export const r = Math.random();", ["Math.random"]],
    ["export const s = AbortSignal.timeout(5);", ["AbortSignal.timeout"]],
    ["export const p = performance.now();", ["performance"]],
    ["await fetch('http://x');", ["fetch"]],
    ['import net from "node:net"; net;', ["node:net"]],
    ['import fs from "node:fs/promises"; fs;', ["node:fs/promises"]],
    ['await import("node:timers");', ["node:timers"]],
    ["export const o = { console };", ["console"]],
  ];
  for (const [source, want] of cases) assert.deepEqual([...new Set(reports(source))], want, source);
});

Deno.test("law/ports: words, keys and computing modules are no breach", () => {
  for (
    const source of [
      "/** Deno.Conn satisfies this; console.log shows it. */ export const a = 'Deno.args';",
      "export const o = { console: 1, setTimeout: 2 };",
      "export const x = (o: { fetch: number }) => o.fetch;",
      "export interface P { fetch(): void; performance: number }",
      "export const d = new Date(0); export const m = Math.floor(1.5);",
      'import { Buffer } from "node:buffer"; Buffer;',
    ]
  ) assert.deepEqual(reports(source), [], source);
});

Deno.test("law/ports: the shell and tests are free", () => {
  const source = "export const a = Deno.args; console.log(Date.now());";
  for (
    const file of [
      "agent/net/dial.ts",
      "agent/agent.ts",
      "agent/cli.ts",
      "agent/cli/main.ts",
      "agent/core/a_test.ts",
    ]
  ) assert.deepEqual(reports(source, `/repo/${file}`), [], file);
  assert.equal(mayNameTheWorld("/repo/scripts/bench.ts"), true);
  assert.equal(mayNameTheWorld("/repo/agent/proxy/pipeline.ts"), false);
});

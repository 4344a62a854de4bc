import assert from "node:assert/strict";
import fc from "fast-check";
import { stringify } from "yaml";
import { formatDiagnostic, hasErrors } from "../core/diagnostics.ts";
import { formatConfig, jsonConfig, readSettings } from "./read.ts";
import { ENV_NAMES, FILES, INERT, SETTINGS } from "./schema.ts";

const KEYS = [
  ...new Set([...SETTINGS.flatMap((s) => [s.key, ...s.also ?? []]), ...INERT.map(([path]) => path)]),
];

/** Reads, and touches everything that is worked out late. */
function readAll(files: ReadonlyMap<string, string>, env: ReadonlyMap<string, string>): void {
  const { config, diagnostics } = readSettings({ directory: "/c", files, env });
  for (const d of diagnostics) assert.doesNotMatch(formatDiagnostic(d), /undefined|\[object|NaN/);
  assert.equal(config === undefined, hasErrors(diagnostics));
  if (config !== undefined) {
    formatConfig(config);
    JSON.stringify(jsonConfig(config));
    structuredClone({ ...config, origins: undefined });
  }
}

const scalar = fc.oneof(
  fc.string({ maxLength: 8 }).filter((s) => !/undefined|object|NaN/.test(s)),
  fc.constantFrom(
    "no",
    "on",
    "127.0.0.1:80",
    "10s",
    "0s",
    "${POD_NAME||x}",
    "${",
    "${A}",
    "file",
    "true",
    "1e999",
  ),
  fc.integer(),
  fc.constantFrom(null, true, false, -0, 1.5, 1e21),
);
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    scalar,
    fc.array(tie("any"), { maxLength: 2 }),
    fc.dictionary(
      fc.constantFrom("http", "name", "a", "__proto__", "constructor", "toString", "*"),
      tie("any"),
      {
        maxKeys: 3,
        noNullPrototype: true,
      },
    ),
  ),
})).any;

Deno.test("no values at known keys make reading throw", () => {
  const entry = fc.tuple(fc.constantFrom(...KEYS), value);
  const file = fc.array(entry, { maxLength: 6 }).map((entries) => stringify(Object.fromEntries(entries)));
  const env = fc.array(
    fc.tuple(
      fc.constantFrom(...ENV_NAMES),
      fc.oneof(scalar, value).map((v) => typeof v === "string" ? v : JSON.stringify(v)),
    ),
    {
      maxLength: 4,
    },
  ).map((entries) => new Map(entries.map(([k, v]) => [k, v.replace(/undefined|\[object|NaN/g, "")])));
  const files = fc.array(fc.tuple(fc.constantFrom(...FILES, "tls.yaml", "x.yaml"), file), { maxLength: 3 })
    .map((entries) => new Map(entries));
  fc.assert(fc.property(files, env, readAll), { seed: 1, numRuns: 400 });
});

Deno.test("no text makes reading throw", () => {
  const piece = fc.constantFrom(
    ..."abc:-[]{}#&*!|>'\"%@`,? \t\n",
    "---\n",
    "\n- ",
    ": ",
    "cse:\n  ",
    "router: ",
    "service: ",
    "registry: ",
    "&a ",
    "*a",
    "<<: ",
    "${A||",
    "}",
  );
  const text = fc.array(piece, { maxLength: 25 }).map((p) => p.join(""));
  fc.assert(
    fc.property(text, (t) => readAll(new Map([["chassis.yaml", t]]), new Map())),
    { seed: 1, numRuns: 500 },
  );
});

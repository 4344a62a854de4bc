import assert from "node:assert/strict";
import fc from "fast-check";
import { formatDuration, parseDuration } from "./duration.ts";

Deno.test("Go durations become milliseconds", () => {
  const rows: [string, number][] = [
    ["0", 0],
    ["0s", 0],
    ["10s", 10_000],
    ["1.5s", 1500],
    [".5s", 500],
    ["1.s", 1000],
    ["250ms", 250],
    ["1m30s", 90_000],
    ["1h", 3_600_000],
    ["1us", 0.001],
    ["1µs", 0.001],
    ["5ns", 0.000005],
    ["-2s", -2000],
    ["+2s", 2000],
  ];
  for (const [text, ms] of rows) assert.equal(parseDuration(text)?.toFixed(9), ms.toFixed(9), text);
});

Deno.test("what is no Go duration is undefined", () => {
  for (
    const text of ["", "10", "s", "1 s", "1d", "1s ", "1sm", "one", "1..5s", ".s", "1e3s", "NaN", "Infinity"]
  ) {
    assert.equal(parseDuration(text), undefined, JSON.stringify(text));
  }
});

Deno.test("durations are written as istiod writes them", () => {
  const rows: [number, string][] = [
    [0, "0s"],
    [15_000, "15s"],
    [500, "0.500s"],
    [25, "0.025s"],
    [1500, "1.500s"],
    [0.5, "0.000500s"],
  ];
  for (const [ms, text] of rows) assert.equal(formatDuration(ms), text);
});

Deno.test("what is written is read back", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (ms) => {
      const read = parseDuration(formatDuration(ms)) as number;
      assert.ok(Math.abs(read - ms) < 1e-3, `${ms} -> ${formatDuration(ms)} -> ${read}`);
    }),
    { seed: 1, numRuns: 300 },
  );
});

import assert from "node:assert/strict";
import { CODES } from "./codes.ts";
import { diagnostic, formatDiagnostic, formatOrigin, hasErrors } from "./diagnostics.ts";

Deno.test("a diagnostic is one line and its hint", () => {
  const d = diagnostic("S104", "Cannot read name: want text", { file: "a.yaml", line: 7, column: 17 });
  assert.equal(
    formatDiagnostic(d),
    "a.yaml:7:17: error [S104] Cannot read name: want text\n" +
      '    Put the word in quotes ("no"): Kubernetes reads it as a boolean when it is bare.',
  );
});

Deno.test("severity and hint may be given, and an empty hint is none", () => {
  const d = diagnostic("S104", "x", { file: "a.yaml" }, { severity: "info", hint: "" });
  assert.equal(formatDiagnostic(d), "a.yaml: info [S104] x");
  assert.equal("hint" in d, false);
});

Deno.test("a place is told as precisely as it is known", () => {
  assert.equal(formatOrigin({ file: "a", line: 2, column: 3 }), "a:2:3");
  assert.equal(formatOrigin({ file: "a", line: 2 }), "a:2");
  assert.equal(formatOrigin({ file: "a", column: 3 }), "a");
  assert.equal(
    formatOrigin({ kind: "Cluster", resource: "x", version: "7", field: "name" }),
    "Cluster x version 7 name",
  );
  assert.equal(
    formatOrigin({ kind: "RouteConfiguration", field: "virtual_hosts", from: "VirtualService default/a" }),
    "RouteConfiguration virtual_hosts (VirtualService default/a)",
  );
  assert.equal(formatOrigin({ field: "CSE_X" }), "CSE_X");
  assert.equal(formatOrigin({}), "(unknown place)");
});

Deno.test("only errors count as errors", () => {
  const of = (severity: "error" | "warning" | "info") => diagnostic("S101", "x", {}, { severity });
  assert.equal(hasErrors([]), false);
  assert.equal(hasErrors([of("info"), of("warning")]), false);
  assert.equal(hasErrors([of("info"), of("error")]), true);
});

Deno.test("a code's letter and number are its name, and each has a severity", () => {
  for (const [code, entry] of Object.entries(CODES)) {
    assert.match(code, /^[SYRDNP]\d{3}$/);
    assert.match(entry.severity, /^(error|warning|info)$/);
    assert.doesNotMatch(entry.hint, /\n|\s$/, code);
  }
});

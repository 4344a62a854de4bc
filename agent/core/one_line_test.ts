import assert from "node:assert/strict";
import { diagnostic, formatDiagnostic } from "./diagnostics.ts";
import { oneLine } from "./one_line.ts";

Deno.test("foreign text is one line without control characters, and not longer than wanted", () => {
  assert.equal(oneLine('a"b é ü…'), 'a"b é ü…');
  assert.equal(
    oneLine("a\r\nb\x1b[31m\u009b\u2028\u2029\x7f"),
    "a\\u000d\\u000ab\\u001b[31m\\u009b\\u2028\\u2029\\u007f",
  );
  assert.equal(oneLine("abcd", 4), "abcd");
  assert.equal(oneLine("abcde", 4), "abcd…");
});

Deno.test("a diagnostic stays one line, whatever a control plane calls its resources", () => {
  const where = {
    kind: "Cluster",
    resource: "a\nb",
    version: "1\x1b[2J",
    field: 'x["\r"]',
    from: "VirtualService \n/x",
  };
  assert.equal(
    formatDiagnostic({ code: "D212", severity: "error", message: "m", where }),
    'Cluster a\\u000ab version 1\\u001b[2J x["\\u000d"] (VirtualService \\u000a/x): error [D212] m',
  );
  assert.equal(diagnostic("D212", "m", where).where, where);
});

/** Each row of Istio's validation (istio-semantics 4.2 to 4.4) with specs that break it and specs that do not. */
import { deepEqual, ok, strictEqual } from "node:assert/strict";
import { CODES } from "../core/codes.ts";
import { formatDiagnostic } from "../core/diagnostics.ts";
import { parseRules } from "./parse.ts";
import { destinationRuleRows, serviceEntryRows, workloadEntryRows } from "./rows_policy_fixture.ts";
import { type Row, virtualServiceRows } from "./rows_virtual_service_fixture.ts";
import { validateDocument } from "./validate.ts";

function judge(kind: string, text: string) {
  const head = `apiVersion: networking.istio.io/v1\nkind: ${kind}\n`;
  const metadata = text.startsWith("metadata:") ? "" : "metadata: {name: x, namespace: default}\n";
  const file = `${head}${metadata}${text}\n`;
  const { documents, damaged, diagnostics } = parseRules("x.yaml", file, { namespace: "default" });
  return [...diagnostics, ...[...documents, ...damaged].flatMap(validateDocument)];
}

function codeOfRow(id: string): string {
  const [kind, level, number] = /^(VS|DR|SE|WE)-([EW])(\d+)$/.exec(id)!.slice(1) as [string, string, string];
  const base = { VS: 100, DR: 200, SE: 300, WE: 370 }[kind]! + (level === "W" ? kind === "WE" ? 1 : 50 : 0);
  return `R${base + Number(number)}`;
}

const tables: [string, readonly Row[]][] = [
  ["VirtualService", virtualServiceRows],
  ["DestinationRule", destinationRuleRows],
  ["ServiceEntry", serviceEntryRows],
  ["WorkloadEntry", workloadEntryRows],
];

for (const [kind, rows] of tables) {
  for (const row of rows) {
    Deno.test(`${row.id}: ${row.rule}`, () => {
      const code = codeOfRow(row.id);
      ok(row.bad.length > 0 && row.good.length > 0, "a row needs examples of both kinds");
      for (const bad of row.bad) {
        const found = judge(kind, bad);
        const own = found.filter((d) => d.code === code);
        ok(own.length > 0, `${code} is missing for\n${bad}\n${found.map(formatDiagnostic).join("\n")}`);
        for (const d of own) {
          strictEqual(d.severity, row.id.includes("-W") ? "warning" : "error");
          ok((d.where.line ?? 0) > 1 && (d.where.column ?? 0) > 0, `not placed: ${formatDiagnostic(d)}`);
        }
      }
      for (const good of row.good) {
        const found = judge(kind, good).filter((d) => d.code === code || d.severity === "error");
        strictEqual(found.map(formatDiagnostic).join("\n"), "", good);
      }
    });
  }
}

Deno.test("every row has examples", () => {
  const tested = new Set(tables.flatMap(([, rows]) => rows.map((row) => codeOfRow(row.id))));
  const known = Object.keys(CODES).filter((code) => /^R[123]/.test(code));
  // Proto enums decide these two before validation sees them; see parse_test.ts.
  const bySchema = ["R204", "R312"];
  deepEqual(known.filter((code) => !tested.has(code)).sort(), bySchema);
});

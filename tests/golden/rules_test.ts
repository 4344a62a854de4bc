/**
 * Golden diagnostics: each YAML file (or directory of files) under rules/ and the exact text that `check` says about it.
 * `GOLDEN=write deno test -A tests/golden/rules_test.ts` writes the texts anew; read the difference before you commit it.
 */
import { deepEqual, strictEqual } from "node:assert/strict";
import { CODES } from "../../agent/core/codes.ts";
import { formatDiagnostic } from "../../agent/core/diagnostics.ts";
import { checkRules } from "../../agent/istio/check.ts";
import { notExecuted } from "../../agent/istio/not_executed.ts";
import { sortDiagnostics } from "../../agent/istio/remark.ts";
import type { ProxyContext } from "../../agent/istio/resources.ts";

const directory = new URL("./rules/", import.meta.url);
const context: ProxyContext = {
  namespace: "default",
  domainSuffix: "svc.cluster.local",
  labels: { app: "client", version: "v1" },
  outboundTrafficPolicy: "ALLOW_ANY",
};

function filesOf(name: string): Map<string, string> {
  const read = (file: string) => Deno.readTextFileSync(new URL(file, directory));
  if (name.endsWith(".yaml")) return new Map([[name, read(name)]]);
  const names = [...Deno.readDirSync(new URL(`${name}/`, directory))].map((entry) => entry.name).sort();
  return new Map(names.map((file) => [`${name}/${file}`, read(`${name}/${file}`)]));
}

const cases = [...Deno.readDirSync(directory)].map((entry) => entry.name).filter((name) =>
  !name.endsWith(".txt")
);
for (const name of cases.sort()) {
  Deno.test(`rules/${name} gives exactly these diagnostics`, () => {
    const { valid, diagnostics } = checkRules(filesOf(name), context);
    const text = sortDiagnostics([...diagnostics, ...notExecuted(valid)]).map((d) =>
      formatDiagnostic(d) + "\n"
    ).join("");
    const golden = new URL(name.replace(/\.yaml$/, "") + ".txt", directory);
    if (Deno.env.get("GOLDEN") === "write") Deno.writeTextFileSync(golden, text);
    strictEqual(text, Deno.readTextFileSync(golden));
  });
}

Deno.test("every code of text, shape and findings has a golden example", () => {
  const texts = cases.map((name) =>
    Deno.readTextFileSync(new URL(name.replace(/\.yaml$/, "") + ".txt", directory))
  );
  const shown = new Set(texts.join("\n").match(/(?<=\[)[YR]\d{3}(?=\])/g));
  const wanted = Object.keys(CODES).filter((code) => /^(Y|R4)/.test(code));
  deepEqual(wanted.filter((code) => !shown.has(code)), []);
});

/**
 * The gate on the sources: format, lint (with the ports rule), import law, types, documentation, generated files.
 *
 * Runs every check, also after a failure, and ends with one summary line in the shape of `deno test`'s.
 *
 * @example
 * ```sh
 * deno task ok
 * ```
 */

interface Check {
  readonly name: string;
  readonly args: readonly string[];
  /** What to do when it fails. */
  readonly cure: string;
}

const CHECKS: readonly Check[] = [
  { name: "format", args: ["fmt", "--check"], cure: "deno fmt" },
  { name: "lint", args: ["lint"], cure: "deno lint --fix, or see the rule's page" },
  { name: "import law", args: ["run", "-A", "scripts/arch.ts"], cure: "see agent/README.md" },
  { name: "types", args: ["check", "mod.ts", "agent", "protos", "scripts", "tests"], cure: "mend the types" },
  { name: "documentation", args: ["run", "-A", "scripts/doc_lint.ts"], cure: "document the export" },
  {
    name: "table of codes",
    args: ["run", "-A", "scripts/codes.ts"],
    cure: "deno run -A scripts/codes.ts --write",
  },
  {
    name: "xDS schema",
    args: ["run", "-A", "scripts/protos.ts"],
    cure: "deno run -A scripts/protos.ts --write",
  },
];

const root = new URL("../", import.meta.url);
let failed = 0;
const startMs = performance.now();
for (const check of CHECKS) {
  const checkStartMs = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...check.args],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const seconds = ((performance.now() - checkStartMs) / 1000).toFixed(1);
  console.log(`${success ? "ok    " : "FAILED"} ${check.name} (${seconds}s)`);
  if (success) continue;
  failed++;
  for (const bytes of [stdout, stderr]) {
    const text = new TextDecoder().decode(bytes).trimEnd();
    if (text !== "") console.log(text.replaceAll(/^/gm, "    "));
  }
  console.log(`    cure: ${check.cure}`);
}
const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
console.log(
  `\n${failed === 0 ? "ok" : "FAILED"} | ${CHECKS.length - failed} passed | ${failed} failed (${seconds}s)`,
);
Deno.exit(failed === 0 ? 0 : 1);

/**
 * Documentation check: every folder's main file opens with a comment that tells purpose, flow and an example, and
 * what the library door exports is documented (`deno doc --lint mod.ts`).
 *
 * In: the sources. Out: one line per gap and exit 1, or a count and exit 0.
 *
 * @example
 * ```sh
 * deno run -A scripts/doc_lint.ts
 * ```
 */

/** The file of each folder that a reader opens first. Grows with the house. */
export const MAIN_FILES: readonly string[] = [
  "mod.ts",
  "agent/agent.ts",
  "agent/admin/admin.ts",
  "agent/cli/main.ts",
  "agent/core/diagnostics.ts",
  "agent/discovery/plugins.ts",
  "agent/istio/compile.ts",
  "agent/model/model.ts",
  "agent/observe/observer.ts",
  "agent/proxy/pipeline.ts",
  "agent/route/table.ts",
  "agent/settings/read.ts",
];

/** What is missing in a main file's opening, as words; empty when it is complete. */
export function openingGaps(source: string): string[] {
  const opening = /^(?:#![^\n]*\n)?\s*\/\*\*([\s\S]*?)\*\//.exec(source)?.[1];
  if (opening === undefined) return ["an opening comment"];
  const gaps: string[] = [];
  if (!/@example|```|for example/i.test(opening)) gaps.push("an example");
  if (!/\bin(put)?\b.*\bout(put)?\b|->|→/is.test(opening)) gaps.push("what flows in and out");
  return gaps;
}

if (import.meta.main) {
  const root = new URL("../", import.meta.url);
  let gaps = 0;
  for (const file of MAIN_FILES) {
    let missing: string[];
    try {
      missing = openingGaps(await Deno.readTextFile(new URL(file, root)));
    } catch {
      missing = ["the file"];
    }
    for (const what of missing) console.error(`${file}: lacks ${what}`);
    gaps += missing.length;
  }
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", "mod.ts"],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdout: "null",
  }).output();
  if (!success) console.error(new TextDecoder().decode(stderr));
  if (gaps > 0 || !success) Deno.exit(1);
  console.log(`documentation: ${MAIN_FILES.length} main files and the exports of mod.ts`);
}

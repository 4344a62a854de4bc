/**
 * Documentation check. Every folder's main file opens with a comment that tells purpose, flow and an example, and
 * everything that the library door (mod.ts) exports has words of its own.
 *
 * In: the sources, and `deno doc --json mod.ts`. Out: one line per gap and exit 1, or a count and exit 0.
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
  "agent/xds/codec.ts",
  "protos/schema.ts",
];

/** What is missing in a main file's opening, as words; empty when it is complete. */
export function openingGaps(source: string): string[] {
  const opening = /^(?:#![^\n]*\n)?\s*\/\*\*([\s\S]*?)\*\//.exec(source)?.[1];
  if (opening === undefined) return ["an opening comment"];
  const gaps: string[] = [];
  if (!/@example|```|for example|e\.g\./i.test(opening)) gaps.push("an example");
  if (!/\bin\b[\s\S]*\bout\b|->|→/i.test(opening)) gaps.push("what flows in and out");
  return gaps;
}

interface DocPage {
  readonly nodes: Readonly<
    Record<string, {
      readonly symbols?: readonly {
        readonly name: string;
        readonly declarations: readonly {
          readonly declarationKind: string;
          readonly location: { readonly filename: string; readonly line: number };
          readonly jsDoc?: { readonly doc?: string };
        }[];
      }[];
    }>
  >;
}

/** Exports without words in what `deno doc --json` printed, as `file:line: name`. */
export function undocumented(json: string, rootUrl: string): string[] {
  const gaps: string[] = [];
  for (const { symbols = [] } of Object.values((JSON.parse(json) as DocPage).nodes)) {
    for (const { name, declarations } of symbols) {
      const exported = declarations.filter((declaration) => declaration.declarationKind === "export");
      const first = exported[0];
      if (first === undefined || exported.some((declaration) => declaration.jsDoc?.doc !== undefined)) {
        continue;
      }
      const file = first.location.filename.replace(rootUrl, "");
      gaps.push(`${file}:${first.location.line + 1}: export "${name}" has no words`);
    }
  }
  return gaps;
}

if (import.meta.main) {
  const root = new URL("../", import.meta.url);
  const gaps: string[] = [];
  for (const file of MAIN_FILES) {
    const source = await Deno.readTextFile(new URL(file, root)).catch(() => undefined);
    const missing = source === undefined ? ["everything: there is no such file"] : openingGaps(source);
    for (const what of missing) gaps.push(`${file}: lacks ${what}`);
  }
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", "mod.ts"],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (success) gaps.push(...undocumented(decode(stdout), root.href));
  else gaps.push(decode(stderr));
  for (const gap of gaps) console.error(gap);
  if (gaps.length > 0) Deno.exit(1);
  console.log(`documentation: ${MAIN_FILES.length} main files and the exports of mod.ts`);
}

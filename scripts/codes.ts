/**
 * The page of codes: agent/core/CODES.md, made from the table in agent/core/codes.ts.
 *
 * In: the table and the sources that raise the codes. Out: the page (`--write`), or exit 1 when the page is stale, a
 * code is raised nowhere, or a code tells neither severity nor status.
 *
 * @example
 * ```sh
 * deno run -A scripts/codes.ts --write
 * ```
 */
import { type CodeEntry, CODES } from "../agent/core/codes.ts";

const FAMILIES: readonly (readonly [RegExp, string])[] = [
  [/^S/, "Settings"],
  [/^Y/, "YAML text"],
  [/^R1/, "VirtualService"],
  [/^R2/, "DestinationRule"],
  [/^R3/, "ServiceEntry and WorkloadEntry"],
  [/^R4/, "Findings across documents"],
  [/^D/, "Discovery"],
  [/^N/, "Network and start"],
  [/^P/, "Answers to a request"],
];

/** Codes that stand in no source as a string, in order. `sources` is file -> text, codes.ts and tests left out. */
export function unraised(codes: readonly string[], sources: ReadonlyMap<string, string>): string[] {
  const seen = new Set<string>();
  for (const text of sources.values()) {
    for (const match of text.matchAll(/["'`]([A-Z]\d{3})["'`]/g)) seen.add(match[1]!);
  }
  return codes.filter((code) => !seen.has(code));
}

/** The page as Markdown. */
export function codesPage(codes: Readonly<Record<string, CodeEntry>>): string {
  const lines = [
    "# Codes",
    "",
    "Every diagnostic and every answer of the agent's own carries one of these. A code is stable for ever.",
    "Made by `scripts/codes.ts` from `codes.ts`; do not edit.",
  ];
  const left = new Set(Object.keys(codes).sort());
  for (const [family, title] of FAMILIES) {
    const members = [...left].filter((code) => family.test(code));
    if (members.length === 0) continue;
    const answers = members.some((code) => codes[code]?.status !== undefined);
    lines.push("", `## ${title}`, "");
    lines.push(answers ? "| code | status | flag | what to do |" : "| code | severity | what to do |");
    lines.push(answers ? "|---|---|---|---|" : "|---|---|---|");
    for (const code of members) {
      left.delete(code);
      const entry = codes[code]!;
      const hint = entry.hint === "" ? "as the message says" : entry.hint.replaceAll("|", "\\|");
      lines.push(
        answers
          ? `| ${code} | ${entry.status ?? "-"} | ${entry.flag || "-"} | ${hint} |`
          : `| ${code} | ${entry.severity} | ${hint} |`,
      );
    }
  }
  if (left.size > 0) throw new Error(`Cannot place codes ${[...left]}: no family in scripts/codes.ts fits`);
  return lines.join("\n") + "\n";
}

/** Text of every source under agent/ that may raise a code. */
export async function readSources(root: URL): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  const walk = async (directory: string): Promise<void> => {
    for await (const entry of Deno.readDir(new URL(directory, root))) {
      const path = directory + entry.name;
      if (entry.isDirectory) await walk(`${path}/`);
      else if (/(?<!_test|_bench|core\/(?:\w+_)?codes)\.ts$/.test(path)) {
        sources.set(path, await Deno.readTextFile(new URL(path, root)));
      }
    }
  };
  await walk("agent/");
  return sources;
}

if (import.meta.main) {
  const root = new URL("../", import.meta.url);
  const page = new URL("agent/core/CODES.md", root);
  const text = codesPage(CODES);
  if (Deno.args.includes("--write")) {
    await Deno.writeTextFile(page, text);
  } else if (await Deno.readTextFile(page).catch(() => "") !== text) {
    console.error("agent/core/CODES.md is stale: run deno run -A scripts/codes.ts --write");
    Deno.exit(1);
  }
  const silent = unraised(Object.keys(CODES), await readSources(root));
  if (silent.length > 0) {
    console.error(`raised nowhere: ${silent.join(" ")}`);
    Deno.exit(1);
  }
  console.log(`codes: ${Object.keys(CODES).length}, each raised and on the page`);
}

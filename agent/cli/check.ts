/** `check`: judges rule files offline. */
import { ANYBODY, judgeRules } from "../discovery/offline.ts";
import type { Run } from "./command.ts";
import { readRulePaths } from "./rule_paths.ts";
import { diagnosticText } from "./terminal.ts";

export const run: Run = async (args, terminal) => {
  if (args.words.length === 0) {
    terminal.note(
      "Cannot check: no PATH is given; want a rules directory or file\n    mesh-agent check config/rules",
    );
    return 2;
  }
  const files = await readRulePaths(args.words);
  const { valid, diagnostics } = judgeRules(files, {
    ...ANYBODY,
    namespace: args.get("namespace") ?? ANYBODY.namespace,
  });
  const count = (severity: string) => diagnostics.filter((d) => d.severity === severity).length;
  const [errors, warnings, infos] = [count("error"), count("warning"), count("info")];
  const failed = errors > 0 || (args.has("strict") && warnings > 0);
  if (args.has("json")) {
    terminal.print(
      JSON.stringify(
        { files: files.size, objects: valid.length, errors, warnings, infos, diagnostics },
        null,
        2,
      ),
    );
    return failed ? 1 : 0;
  }
  for (const d of diagnostics) terminal.print(diagnosticText(d, terminal.paint, files));
  if (diagnostics.length > 0) terminal.print("");
  if (files.size === 0) {
    terminal.print(`No rule files in ${args.words.join(", ")}: want *.yaml, *.yml or *.json`);
    return 0;
  }
  const verdict = [
    plural(errors, "error"),
    plural(warnings, "warning"),
    ...(infos > 0 ? [`${infos} info`] : []),
  ];
  const { red, yellow, green } = terminal.paint;
  const colour = errors > 0 ? red : warnings > 0 ? yellow : green;
  terminal.print(
    `${plural(files.size, "file")}, ${plural(valid.length, "sound object")}: ${colour(verdict.join(", "))}`,
  );
  return failed ? 1 : 0;
};

function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

/** `check`: judges rule files offline. */
import { type Diagnostic, diagnostic } from "../core/diagnostics.ts";
import { ANYBODY, judgeRules } from "../discovery/offline.ts";
import { namedPlaces } from "../discovery/rule_places.ts";
import { NetScope } from "../net/net_scope.ts";
import { type NetEntry, parseNetEntry } from "../settings/net_entry.ts";
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
  const { valid, diagnostics: findings } = judgeRules(files, {
    ...ANYBODY,
    namespace: args.get("namespace") ?? ANYBODY.namespace,
  });
  const diagnostics = [...findings, ...placesOutside(files)];
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

/** Places that an isolated agent may connect to only because these rules name them when it starts. */
function placesOutside(files: ReadonlyMap<string, string>): Diagnostic[] {
  const scope = new NetScope(["private"]);
  const found = namedPlaces(files, (address) => scope.target(address, -1) !== null);
  return found.filter(({ place }) => !scope.covers(parseNetEntry(place) as NetEntry)).map(
    ({ place, where }) => {
      const at = where.lastIndexOf(":");
      return diagnostic(
        "N114",
        `"${place}" is outside of the private ranges: an agent that runs already connects there after a restart`,
        { file: where.slice(0, at), line: Number(where.slice(at + 1)), column: 1 },
      );
    },
  );
}

function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

/** `version`: the agent's version and its runtime's; with --capabilities what that runtime can do. */
import { VERSION } from "../core/version.ts";
import type { Capability } from "../net/capabilities.ts";
import type { Run } from "./command.ts";
import type { Paint } from "./terminal.ts";

export const run: Run = async (args, terminal) => {
  if (args.words.length > 0) {
    terminal.note(`Cannot print the version of "${args.words[0]}": version takes flags only`);
    return 2;
  }
  const { deno, v8 } = Deno.version;
  const { os, arch } = Deno.build;
  const found = args.has("capabilities")
    ? await (await import("../net/capabilities.ts")).capabilities()
    : undefined;
  terminal.print(
    args.has("json")
      ? JSON.stringify({ version: VERSION, deno, v8, os, arch, capabilities: found }, null, 2)
      : [
        `mesh-agent ${VERSION} (deno ${deno}, v8 ${v8}, ${os} ${arch})`,
        ...capabilityLines(found ?? [], terminal.paint),
      ].join("\n"),
  );
  return 0;
};

function capabilityLines(found: readonly Capability[], paint: Paint): string[] {
  const width = Math.max(0, ...found.map(({ name }) => name.length));
  return found.map(({ name, purpose, missing }) => {
    const state = missing === null ? paint.green("yes") : paint.yellow("no ");
    return `${name.padEnd(width)}  ${state}  ${purpose}${missing === null ? "" : paint.dim(` - ${missing}`)}`;
  });
}

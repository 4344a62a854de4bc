/** `version`: the agent's version and its runtime's. */
import { VERSION } from "../core/version.ts";
import type { Run } from "./command.ts";

export const run: Run = (args, terminal) => {
  if (args.words.length > 0) {
    terminal.note(`Cannot print the version of "${args.words[0]}": version takes flags only`);
    return Promise.resolve(2);
  }
  const { deno, v8 } = Deno.version;
  const { os, arch } = Deno.build;
  terminal.print(
    args.has("json")
      ? JSON.stringify({ version: VERSION, deno, v8, os, arch }, null, 2)
      : `mesh-agent ${VERSION} (deno ${deno}, v8 ${v8}, ${os} ${arch})`,
  );
  return Promise.resolve(0);
};

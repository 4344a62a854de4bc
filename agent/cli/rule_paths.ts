/** Rules directories and files named on the command line -> file names and texts. */
import { MeshError } from "../core/errors.ts";
import { absolutePath } from "../net/paths.ts";
import { createRuleFiles } from "../net/rule_files.ts";

/** Names are as typed. Throws MeshError N107 for a path that is not there or cannot be read. */
export async function readRulePaths(paths: readonly string[]): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const path of paths) {
    const reading = await createRuleFiles(absolutePath(path), path.replace(/(?<=.)\/+$/, "")).read();
    if (reading === null) {
      throw new MeshError("N107", `Cannot read "${path}": there is no such file or directory`);
    }
    for (const [name, reason] of reading.unreadable) {
      throw new MeshError("N107", `Cannot read "${name}": ${reason}`);
    }
    for (const [name, text] of reading.files) files.set(name, text ?? "");
  }
  return files;
}

/**
 * The version preflight. Old syntax and no imports: it must load where the rest of the agent would not, and say so plainly.
 */

const CODE = "N104";

/** A sentence with a hint when this version of Deno is too old (below 2.6), else undefined. */
export function tooOld(version: string): string | undefined {
  const parts = version.split(".");
  const major = Number(parts[0]);
  const minor = Number(parts[1]);
  if (major > 2 || (major === 2 && minor >= 6)) return undefined;
  return "[" + CODE + '] Cannot run on Deno "' + version +
    '": mesh-agent is made for 2.9; want 2.6 or newer\n' +
    "    npx -y deno@2.9.6 run -P mod.ts";
}

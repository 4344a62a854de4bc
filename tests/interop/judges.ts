/**
 * The programs that judge us, and tests that are run only where these are.
 *
 * @example
 * ```ts
 * import { judge, judged } from "./judges.ts";
 * judged("h2spec", ["h2spec"], async () => {
 *   await new Deno.Command(judge("h2spec"), { args: ["--help"] }).output();
 * });
 * ```
 */
import { JUDGES } from "../../scripts/install_judges.ts";
import { KUBERNETES_VALIDATE } from "../../scripts/install_kubernetes_validate.ts";

/** What must be on the machine for each. */
const JUDGED_BY = {
  h2spec: "Go",
  client: "Go",
  server: "Go",
  node: "Node",
  python3: "Python 3",
  "kubernetes-validate": "kubernetes-validate",
  curl: "curl",
  h2load: "h2load",
  wrk: "wrk",
  strace: "strace",
  "systemd-analyze": "systemd",
} as const;

export type Judge = keyof typeof JUDGED_BY;

/** Path of the program; undefined when it is not on this machine. */
function find(name: Judge): string | undefined {
  const folders = JUDGED_BY[name] === "Go"
    ? [JUDGES]
    : name === "kubernetes-validate"
    ? [`${KUBERNETES_VALIDATE}/bin`]
    : (Deno.env.get("PATH") ?? "").split(":");
  for (const folder of folders) {
    try {
      if (Deno.statSync(`${folder}/${name}`).isFile) return `${folder}/${name}`;
    } catch { /* not there */ }
  }
  return undefined;
}

/** Path of a program that the test named as needed. */
export function judge(name: Judge): string {
  const path = find(name);
  if (path === undefined) throw new Error(`Cannot run ${name}: no ${JUDGED_BY[name]}`);
  return path;
}

/** A test that needs those programs; where one is missing it is listed as ignored, and its name says why. */
export function judged(
  name: string,
  needs: readonly Judge[],
  fn: (t: Deno.TestContext) => Promise<void>,
): void {
  const missing = [...new Set(needs.filter((n) => find(n) === undefined).map((n) => JUDGED_BY[n]))];
  if (missing.length === 0) return Deno.test(name, fn);
  Deno.test({ name: `${name} (not run: no ${missing.join(", no ")})`, ignore: true, fn });
}

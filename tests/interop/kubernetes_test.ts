/** The manifests of config/deploy/kubernetes, judged strictly by Kubernetes' own schemas of each version that they are for. */
import assert from "node:assert/strict";
import { KUBERNETES_VALIDATE } from "../../scripts/install_kubernetes_validate.ts";
import { MANIFESTS, parseManifests, type Variant } from "../harness/manifests.ts";
import { judge, judged } from "./judges.ts";

const NEWEST = 37;
/** The oldest Kubernetes 1.x of each; native: that of the sleep action (sidecars: 29). */
const SINCE: Readonly<Record<Variant, number>> = { classic: 25, native: 30, pilotv2: 25 };

interface Verdict {
  readonly code: number;
  /** One line for each object: INFO, WARN or ERROR. */
  readonly lines: readonly string[];
}

async function validate(minors: readonly number[], paths: readonly string[]): Promise<Verdict> {
  const { code, stdout, stderr } = await new Deno.Command(judge("python3"), {
    args: [
      "-m",
      "kubernetes_validate",
      "--strict",
      ...minors.flatMap((minor) => ["-k", `1.${minor}`]),
      ...paths,
    ],
    env: { PYTHONPATH: KUBERNETES_VALIDATE },
  }).output();
  const text = new TextDecoder();
  return { code, lines: (text.decode(stdout) + text.decode(stderr)).trim().split("\n") };
}

function filesOf(directory: string): string[] {
  const url = new URL(directory, MANIFESTS);
  return [...Deno.readDirSync(url)].filter(({ isFile }) => isFile).map(({ name }) =>
    new URL(name, url).pathname
  )
    .sort();
}

const count = async (paths: readonly string[]) =>
  (await Promise.all(paths.map(async (path) => parseManifests(await Deno.readTextFile(path)).length)))
    .reduce((sum, each) => sum + each, 0);

for (const [variant, since] of Object.entries(SINCE)) {
  judged(
    `kubernetes: ${variant} is sound in 1.${since} to 1.${NEWEST}`,
    ["kubernetes-validate"],
    async () => {
      const paths = filesOf(`${variant}/`);
      const objects = await count(paths);
      assert.equal(objects, 6);
      const minors = Array.from({ length: NEWEST - since + 1 }, (_, i) => since + i);
      const { code, lines } = await validate(minors, paths);
      assert.equal(code, 0, lines.join("\n"));
      for (const minor of minors) {
        const passed = lines.filter((line) =>
          line.startsWith("INFO ") && line.endsWith(` version 1.${minor}`)
        );
        assert.equal(passed.length, objects, lines.join("\n"));
      }
    },
  );
}

judged(
  "kubernetes: the service is sound; Istio's kinds are for the agent to judge",
  ["kubernetes-validate"],
  async () => {
    const { code, lines } = await validate([NEWEST], filesOf("./"));
    assert.equal(code, 0);
    assert.deepEqual(lines.map((line) => /^INFO .*passed|for kind \w+/.exec(line)?.[0].split(" ").at(-1)), [
      "passed",
      "DestinationRule",
      "VirtualService",
    ]);
  },
);

judged("kubernetes: the judge knows a field that a version does not have, and one that none has", [
  "kubernetes-validate",
], async () => {
  const [client = "", ...more] = filesOf("native/");
  assert.match(client, /istioclient\.yaml$/);
  const sidecar = await validate([27], [client]);
  assert.equal(sidecar.code, 1);
  assert.match(sidecar.lines.join("\n"), /initContainers\.0: .*'restartPolicy' was unexpected/);
  const sleep = await validate([28], more);
  assert.equal(sleep.lines.filter((line) => /preStop: .*'sleep' was unexpected/.test(line)).length, 3);

  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(
      path,
      (await Deno.readTextFile(client)).replace("readOnlyRootFilesystem", "readonlyRoot"),
    );
    assert.equal((await validate([NEWEST], [path])).code, 1);
  } finally {
    await Deno.remove(path);
  }
});

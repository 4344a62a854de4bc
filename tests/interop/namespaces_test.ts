/**
 * A virtual machine and its cluster, each in a network namespace of its own: `vm init` by the walk-through of docs/deploy.md, then what happens
 * to a machine in its life. The control plane, the name server and the applications are in the cluster; the agent and who asks it, on the
 * machine. Want root and iproute2; without them one line says that this was not run.
 */
import assert from "node:assert/strict";
import { parseEnvironment } from "../../agent/cli/vm_bundle.ts";
import { type AgentProcess, runAgent, startAgentProcess } from "../harness/agent.ts";
import { until } from "../harness/bytes.ts";
import { destinationRule, splitRule } from "../harness/conf.ts";
import { type ControlPlane, startControlPlane } from "../harness/control_plane.ts";
import { mayMakeNamespaces, twoNamespaces } from "../harness/namespaces.ts";
import { judged } from "./judges.ts";

const ISTIOD = "istiod.istio-system.svc";
const HOST = "web.shop.svc.cluster.local";

function rules(cluster: string, version: "v1" | "v2"): string {
  return [
    `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [${HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: ${cluster}, ports: {http: 8081}, labels: {version: v1}}
  - {address: ${cluster}, ports: {http: 8082}, labels: {version: v2}}
`,
    destinationRule(HOST, ["v1", "v2"]),
    splitRule(HOST, { [version]: 100 }, "    timeout: 1s\n"),
  ].join("---\n");
}

async function lifeOfAMachine(t: Deno.TestContext): Promise<void> {
  /** Each goes on where the one before ended. */
  const step = async (name: string, work: () => Promise<void>): Promise<void> => {
    if (!await t.step(name, work)) throw new Error(`what follows needs: ${name}`);
  };
  await using net = await twoNamespaces({ applications: { v1: 8081, v2: 8082 } });
  const [firstHost, secondHost] = net.planes;
  const startPlane = async (host: string, version: "v1" | "v2"): Promise<ControlPlane> => {
    const plane = await startControlPlane({ temper: "istiod", port: 15010, host, before: net.inCluster });
    await plane.serve(rules(net.cluster, version));
    return plane;
  };
  const root = await Deno.makeTempDir({ prefix: "mesh-agent-machine-" });
  let plane = await startPlane(firstHost, "v1");
  let agent: AgentProcess | undefined;
  try {
    await net.names({ [ISTIOD]: firstHost });

    await step("vm init", async () => {
      const { code, stdout, stderr } = await runAgent(
        [
          ...["vm", "init", "--root", root, "--pilot", `grpc://${ISTIOD}:15010`, "--ip", net.vm],
          ...["--name", "web-1", "--namespace", "shop"],
        ],
        { rights: "vm" },
      );
      assert.equal(code, 0, stdout + stderr);
    });

    const conf = `${root}/etc/mesh-agent`;
    await Deno.mkdir(`${root}/cache`);
    const start = async (rules?: false): Promise<AgentProcess> =>
      await startAgentProcess(["run", "--config", `${conf}/conf`], {
        env: {
          ...Object.fromEntries(parseEnvironment(await Deno.readTextFile(`${conf}/mesh-agent.env`), [])),
          CSE_MESH_CACHEDIR: `${root}/cache`,
        },
        before: `set -- ${net.inVm.join(" ")} "$@"`,
        ...(rules === false ? { rules } : {}),
      });
    const ask = async (): Promise<string> =>
      (await net.run(
        "curl",
        "-s",
        "-m",
        "5",
        "-w",
        "%{http_code}",
        "-x",
        "http://127.0.0.1:30101",
        `http://${HOST}/`,
      ))
        .text;
    const from = (version: string) => `${version} asked by ${net.vm}\n200`;
    const answeredBy = async (version: string): Promise<void> => {
      let last = "";
      await until(async () => (last = await ask()) === from(version), `an answer of ${version}`, 25_000)
        .catch((error) => {
          throw new Error(`${error.message}; last: ${last}\n${agent?.printed()}`);
        });
    };
    const status = async (): Promise<string> => {
      const { text } = await net.run("curl", "-s", "http://127.0.0.1:30102/sync");
      return text;
    };

    await step("first boot: the rules come from the cluster, and requests go there", async () => {
      agent = await start();
      assert.equal(await ask(), from("v1"));
      const [request] = plane.requests("CDS");
      assert.equal(request!.node!.id, `sidecar~${net.vm}~web-1.shop~shop.svc.cluster.local`);
      // The machine reaches the cluster by the wire alone.
      assert.notEqual((await net.run("curl", "-s", "-m", "1", "http://192.0.2.1/")).code, 0);
    });

    await step("restart", async () => {
      assert.equal((await agent!.stop()).code, 0);
      agent = await start();
      assert.equal(await ask(), from("v1"));
    });

    await step("partition: requests end with a reason, and all goes on when the wire is back", async () => {
      await net.wire("down");
      assert.match(await ask(), /^(upstream request timeout|Cannot connect).* 10\.77\.0\.1:8081 .*50[34]$/s);
      const ready = await net.run(
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "http://127.0.0.1:30102/ready",
      );
      assert.equal(ready.text, "200", "the rules are still in force");
      await net.wire("up");
      await answeredBy("v1");
      await plane.serve(rules(net.cluster, "v2"));
      await answeredBy("v2");
    });

    await step("another address of the control plane: its name is asked again", async () => {
      const old = plane;
      plane = await startPlane(secondHost, "v1");
      await net.names({ [ISTIOD]: secondHost });
      await old[Symbol.asyncDispose]();
      await answeredBy("v1");
      assert.match(await status(), /"step":\s*"synced"/);
      assert.ok(plane.requests("CDS").length > 0);
    });

    await step("reboot from the cache, with no control plane there", async () => {
      await until(() => [...Deno.readDirSync(`${root}/cache`)].length > 0, "a cache");
      assert.equal((await agent!.stop()).code, 0);
      await plane[Symbol.asyncDispose]();
      agent = await start(false);
      await answeredBy("v1");
      assert.match(await status(), /cache/i);
      plane = await startPlane(secondHost, "v2");
      await answeredBy("v2");
    });
  } finally {
    await agent?.stop();
    await plane[Symbol.asyncDispose]();
    await Deno.remove(root, { recursive: true });
  }
}

const NAME = "a machine and its cluster in two network namespaces";
if (await mayMakeNamespaces()) judged(NAME, ["node", "curl"], lifeOfAMachine);
else Deno.test({ name: `${NAME} (not run: no root, or no iproute2)`, ignore: true, fn: () => {} });

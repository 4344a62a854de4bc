/** What an agent says of its control plane while it works, while it waits and when it is gone: status, /ready, explain, program, metrics. */
import assert from "node:assert/strict";
import type { SyncReport } from "../../agent/admin/sync.ts";
import type { Explanation } from "../../agent/route/explain.ts";
import { runAgent, startAgentProcess } from "../harness/agent.ts";
import { until } from "../harness/bytes.ts";
import { type Address, askOnce } from "../harness/client.ts";
import { ISTIOSERVER, istioserver, makeConf } from "../harness/conf.ts";
import { startControlPlane } from "../harness/control_plane.ts";
import { GENERATIONS, nameOf, startMesh } from "../harness/mesh.ts";
import { programOf, resourcesOf } from "../harness/xds_resources.ts";

async function get(
  admin: Address,
  path: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`;
  const { status, body } = await askOnce(admin, request);
  return { status, text: body };
}

const sync = async (admin: Address) => JSON.parse((await get(admin, "/sync")).text) as SyncReport;
const flag = ({ hostname, port }: Address) => ["--admin", `${hostname}:${port}`];

for (const generation of GENERATIONS) {
  Deno.test(`status, ${nameOf(generation)}: synced, with each type, and what became of it`, async () => {
    await using mesh = await startMesh(generation);
    const { admin } = mesh.agent;
    const name = generation.temper === "istiod" ? "pilotv3" : "pilotv2";
    const text = await runAgent(["status", ...flag(admin)]);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, new RegExp(`^agent +ready\nservices +${name} ${mesh.plane.address}\n`));
    assert.match(text.stdout, /\n {2}step +synced for /);
    assert.match(
      text.stdout,
      new RegExp(`\n {2}mode +${generation.delta ? "delta" : "state-of-the-world"}\n`),
    );
    const report = JSON.parse((await runAgent(["status", ...flag(admin), "--json"])).stdout) as SyncReport;
    const [connection, ...others] = report.connections;
    assert.deepEqual(others, []);
    assert.equal(connection?.name, name);
    assert.deepEqual(connection?.addresses, [{ address: mesh.plane.address, inUse: true }]);
    for (const type of connection?.types ?? []) {
      if (generation.temper === "pilot-0.8.0" && type.type === "RDS") continue;
      const answers = mesh.plane.responses().filter((r) => r.type === type.type);
      assert.equal(type.received, answers.length, type.type);
      assert.equal(type.version, answers.at(-1)?.version, type.type);
      assert.equal(type.nonce, answers.at(-1)?.nonce, type.type);
      assert.ok(type.resources > 0, type.type);
      assert.equal(type.nacks, 0);
    }

    const { stdout: program } = await runAgent(["program", ...flag(admin)]);
    assert.match(program, /^Table /);
    assert.match(program, /\nListeners\n/);
    assert.ok(program.includes(`\n  outbound|8084|v1|${ISTIOSERVER}  EDS `), program);
    const { stdout: explained } = await runAgent(["explain", "http://istioserver:8084/", ...flag(admin)]);
    for (const resource of ["(RouteConfiguration|Listener)", "Cluster", "ClusterLoadAssignment"]) {
      assert.match(explained, new RegExp(`\\b${resource} \\S+ version \\S+`));
    }
    const { text: metrics } = await get(admin, "/stats/prometheus");
    assert.match(metrics, new RegExp(`^mesh_agent_xds_synced{source="${name}"} 1$`, "m"));
    assert.match(metrics, new RegExp(`^mesh_agent_xds_resources{source="${name}",type="CDS"} [1-9]`, "m"));
  });
}

Deno.test("status: a subset that the control plane takes away is told in plain words", async () => {
  await using mesh = await startMesh({
    temper: "istiod",
    delta: true,
    rules: ({ v1, v2 }) => istioserver({ v1: v1.port, v2: v2.port }, { v1: 50, v2: 50 }),
  });
  const { admin } = mesh.agent;
  const explain = async () =>
    JSON.parse((await get(admin, "/explain?format=json&url=http://istioserver:8084/")).text) as Explanation;
  assert.deepEqual((await explain()).destinations.map((d) => d.note), [undefined, undefined]);
  const { CDS } = resourcesOf(
    programOf(istioserver({ v1: mesh.v1.port, v2: mesh.v2.port }, { v1: 50, v2: 50 })),
    "istiod",
  );
  await mesh.plane.set({ CDS: CDS.filter(({ name }) => name !== `outbound|8084|v2|${ISTIOSERVER}`) });
  let notes: (string | undefined)[] = [];
  await until(async () => {
    notes = (await explain()).destinations.map((d) => d.note);
    return notes[1] !== undefined;
  }, "the note of the missing subset");
  assert.deepEqual(notes, [
    undefined,
    `the control plane gives no subset v2 of ${ISTIOSERVER} (its DestinationRule does not define it, or no longer), ` +
    "and the route still names it: 503 NC",
  ]);
  const statuses = new Set<number>();
  await until(async () => statuses.add((await mesh.ask()).status).size === 2, "both shares");
  assert.deepEqual([...statuses].sort(), [200, 503]);
});

Deno.test("status: while the first routes are late, /ready and status name what is waited for", async () => {
  await using plane = await startControlPlane({ temper: "istiod" });
  await plane.serve(istioserver({ v1: 1 }, { v1: 100 }));
  await plane.hold(["RDS"]);
  await using conf = await makeConf({ discovery: "pilotv3", address: plane.address });
  await using agent = await startAgentProcess(["run", "--config", conf.path], { rules: false });
  await until(
    async () => (await sync(agent.admin)).connections[0]?.step === "first sync",
    "the first answers",
  );
  await until(
    async () => (await get(agent.admin, "/ready")).text.includes("waits for RDS of"),
    "everything but the routes",
  );
  const { status, text } = await get(agent.admin, "/ready");
  assert.equal(status, 503);
  assert.equal(text, `not ready: no rules are in yet: pilotv3 waits for RDS of ${plane.address}\n`);
  const said = await runAgent(["status", ...flag(agent.admin)]);
  assert.equal(said.code, 1);
  assert.match(said.stdout, /^agent +not ready: no rules are in yet\n/);
  assert.match(said.stdout, /\n {2}step +first sync for /);
  assert.match(said.stdout, /\n {2}RDS +- +- +never +0 /);
  await plane.release();
  await until(async () => (await get(agent.admin, "/ready")).status === 200, "ready");
});

Deno.test("status: a control plane that is gone leaves the agent ready and says why it waits", async () => {
  await using mesh = await startMesh({ temper: "istiod", delta: true });
  const { admin } = mesh.agent;
  await mesh.plane.kill();
  await until(async () => (await sync(admin)).connections[0]?.step === "waiting", "the loss");
  const { code, stdout } = await runAgent(["status", ...flag(admin)]);
  assert.equal(code, 0);
  assert.match(stdout, /\n {2}(next try +in |step +(TCP|DNS) )/);
  assert.match(stdout, /\n {2}failure +\[D20[29]\] Cannot /);
  assert.equal((await get(admin, "/ready")).status, 200);
  assert.match((await get(admin, "/stats/prometheus")).text, /^mesh_agent_xds_synced{source="pilotv3"} 0$/m);
});

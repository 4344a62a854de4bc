/** What real control planes once said, played to the agent: all of it is taken, nothing is refused. */
import assert from "node:assert/strict";
import type { SyncReport } from "../../agent/admin/sync.ts";
import { startAgentProcess } from "../harness/agent.ts";
import { until } from "../harness/bytes.ts";
import { makeConf } from "../harness/conf.ts";
import { startControlPlane } from "../harness/control_plane.ts";

const RECORDINGS = new URL("../recordings/", import.meta.url).pathname;

type Counts = Readonly<Record<string, number>>;

/** Resources held after the first answers. Tables of 0.8.0 stand in its listeners, and are not asked for. */
const FIRST: Readonly<Record<string, Counts>> = {
  "pilot-0.8.0/v2/istioserver/basic": { CDS: 7, EDS: 4, LDS: 4, RDS: 0 },
  "pilot-0.8.0/v2/bookinfo/basic": { CDS: 18, EDS: 14, LDS: 8, RDS: 0 },
  "pilot-0.8.0/v2/kitchen_sink/basic": { CDS: 25, EDS: 16, LDS: 12, RDS: 0 },
  "pilot-1.0.9/v2/istioserver/basic": { CDS: 7, EDS: 4, LDS: 4, RDS: 1 },
  "pilot-1.0.9/v2/bookinfo/basic": { CDS: 18, EDS: 14, LDS: 8, RDS: 2 },
  "pilot-1.0.9/v2/kitchen_sink/basic": { CDS: 27, EDS: 18, LDS: 12, RDS: 6 },
  "istiod-2026-08/istioserver/sotw": { CDS: 7, EDS: 4, LDS: 3, RDS: 2 },
  "istiod-2026-08/istioserver/delta": { CDS: 7, EDS: 4, LDS: 4, RDS: 2 },
  "istiod-2026-08/bookinfo/sotw": { CDS: 15, EDS: 12, LDS: 3, RDS: 2 },
  "istiod-2026-08/bookinfo/delta": { CDS: 15, EDS: 12, LDS: 4, RDS: 2 },
  "istiod-2026-08/kitchen_sink/sotw-http-proxy": { CDS: 46, EDS: 31, LDS: 16, RDS: 8 },
  "istiod-2026-08/kitchen_sink/delta": { CDS: 46, EDS: 31, LDS: 16, RDS: 8 },
};

/** After streams of 52 answers, whose last step deleted everything: the standing clusters, three listeners, the table http_proxy. */
const LAST: Readonly<Record<string, Counts>> = {
  "istiod-2026-08/istioserver/updates": { CDS: 3, EDS: 0, LDS: 3, RDS: 1 },
  "istiod-2026-08/istioserver/updates-delta": { CDS: 3, EDS: 0, LDS: 3, RDS: 1 },
};

async function play(path: string, whole: boolean): Promise<Counts> {
  const folder = `${RECORDINGS}${path}`;
  const files = [...Deno.readDirSync(folder)].map((f) => f.name).filter((n) => n.endsWith(".bin")).sort();
  const v3 = path.startsWith("istiod");
  const delta = path.endsWith("delta");
  await using plane = await startControlPlane({ temper: v3 ? "recording-v3" : "recording-v2", delta });
  await plane.record(files.map((name) => Deno.readFileSync(`${folder}/${name}`)));
  await using conf = await makeConf({
    discovery: v3 ? "pilotv3" : "pilotv2",
    address: plane.address,
    controlPlane: { delta },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path]);
  const said = () => plane.responses().length;
  while (whole && said() < files.length) {
    const before = said();
    await plane.next();
    await plane.waitFor(() => said() > before, "the next answer");
  }
  const { hostname, port } = agent.admin;
  let counts: Counts | undefined;
  await until(async () => {
    const report = await (await fetch(`http://${hostname}:${port}/sync`)).json() as SyncReport;
    const { step, types } = report.connections[0]!;
    counts = Object.fromEntries(types.map((t) => [t.type, t.resources]));
    return step === "synced" && types.reduce((sum, t) => sum + t.received, 0) === said();
  }, "all that was said having been taken");
  assert.deepEqual(plane.requests().flatMap((e) => e.error ?? []), []);
  return counts!;
}

for (const [path, counts] of Object.entries(FIRST)) {
  Deno.test(`recording ${path}: taken whole`, async () => assert.deepEqual(await play(path, false), counts));
}
for (const [path, counts] of Object.entries(LAST)) {
  Deno.test(`recording ${path}: followed to its end`, async () =>
    assert.deepEqual(await play(path, true), counts));
}

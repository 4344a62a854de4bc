import assert from "node:assert/strict";
import { loadSchema, type Partly } from "../../protos/schema.ts";
import type { Messages } from "../../protos/schema.ts";
import { createCodec } from "../xds/codec.ts";
import { createXdsStore } from "../xds/store.ts";
import { type ResourceType, typeUrlOf } from "../xds/types.ts";
import { createIntake, type Intake } from "./intake.ts";
import { createSlices } from "./sliced.ts";
import type { Publication } from "./types.ts";
import { createWorldHolder, type WorldHolder } from "./world.ts";

const schema = loadSchema();
const codec = createCodec();

const SERVICES = 2000;
const nameOf = (i: number) => `outbound|80||s${i}`;
const everyService = <T>(make: (i: number) => T): T[] => Array.from({ length: SERVICES }, (_, i) => make(i));

const edsConfig = { ads: {}, resource_api_version: 2 };
const CLUSTERS = everyService((i) =>
  schema.encode("Cluster", { name: nameOf(i), type: 3, eds_cluster_config: { eds_config: edsConfig } })
);
const assignment = (i: number, port: number) =>
  schema.encode("ClusterLoadAssignment", {
    cluster_name: nameOf(i),
    endpoints: [{
      lb_endpoints: [{
        endpoint: { address: { socket_address: { address: "10.0.0.1", port_value: port } } },
      }],
    }],
  });
const table = (cluster: (i: number) => string): Partly<Messages["RouteConfiguration"]> => ({
  name: "80",
  virtual_hosts: everyService((i) => ({
    name: `s${i}:80`,
    domains: [`s${i}`, `s${i}.${"long".repeat(40)}`],
    routes: [{ match: { prefix: "/" }, route: { cluster: cluster(i) } }],
  })),
});
const LISTENER = schema.encode("Listener", {
  name: "0.0.0.0_80",
  address: { socket_address: { address: "0.0.0.0", port_value: 80 } },
  filter_chains: [{
    filters: [{
      name: "envoy.filters.network.http_connection_manager",
      typed_config: {
        type_url:
          "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        value: schema.encode("HttpConnectionManager", {
          stat_prefix: "x",
          rds: { route_config_name: "80" },
        }),
      },
    }],
  }],
});

interface Rig {
  readonly world: WorldHolder;
  readonly publications: readonly Publication[];
  /** Reads one response and takes it in; gives the number of turns given away. */
  take(type: ResourceType, resources: readonly Uint8Array[]): Promise<number>;
}

/** An intake whose clock goes on by a hundredth of a slice with every look at it. */
async function rigOf(): Promise<Rig> {
  let nowMs = 0;
  let turns = 0;
  const clock = { now: () => 0, monotonic: () => nowMs += 0.04, after: () => () => {} };
  const slices = createSlices(clock, () => {
    turns++;
    return Promise.resolve();
  });
  const world = createWorldHolder(clock);
  const publications: Publication[] = [];
  const store = createXdsStore({ generation: "v3", hosts: [], namespace: "default" });
  const intake: Intake = createIntake({
    input: {
      clock,
      publish(publication) {
        publications.push(publication);
        world.publish(publication);
      },
    },
    slices,
    codec,
    store,
    log: { level: "error", log: (_level, message) => assert.fail(message) },
    published() {},
  });
  let version = 0;
  const rig: Rig = {
    world,
    publications,
    async take(type, values) {
      const before = turns;
      const type_url = typeUrlOf("v3", type);
      const message = schema.encode("DiscoveryResponse", {
        version_info: String(++version),
        type_url,
        resources: values.map((value) => ({ type_url, value })),
      });
      const reading = codec.readResponse(message, false);
      while (reading.step()) if (slices.spent()) await slices.rest();
      const { resources } = reading.result();
      const response = {
        kind: "apply",
        type,
        version: String(version),
        nonce: "n",
        resources,
        removed: [],
      } as const;
      const complete = type === "CDS" || type === "LDS";
      assert.deepEqual(await intake.take({ ...response, complete }, () => false), { ok: true });
      return turns - before;
    },
  };
  await rig.take("CDS", CLUSTERS);
  await rig.take("EDS", everyService((i) => assignment(i, 1)));
  await rig.take("LDS", [LISTENER]);
  return rig;
}

const own = (i: number) => nameOf(i);
const tableBytes = (cluster: (i: number) => string) => schema.encode("RouteConfiguration", table(cluster));

Deno.test("a large push gives turns away in each part of the work; one publication, one assignment", async () => {
  const rig = await rigOf();
  assert.equal(rig.world.current.revision, 0);
  // 2000 looks at the clock while decoding, 20 while indexing: a slice is 100 looks.
  assert.ok(await rig.take("RDS", [tableBytes(own)]) >= 20);
  assert.equal(rig.publications.length, 1);
  assert.deepEqual(statsOf(rig), { rebuiltTables: 1, recompiled: SERVICES });
  assert.ok(await rig.take("CDS", CLUSTERS) >= 20, "known clusters");
  assert.ok(await rig.take("EDS", everyService((i) => assignment(i, 2))) >= 20, "new endpoints");
  assert.equal(
    rig.world.current.program.loadAssignments.get(nameOf(7))?.endpoints[0]?.lbEndpoints[0]?.port,
    2,
  );
});

Deno.test("an endpoint alone: the route tables are the same object, and nothing is compiled", async () => {
  const rig = await rigOf();
  await rig.take("RDS", [tableBytes(own)]);
  const before = rig.world.current;
  const host = before.tables.findVirtualHost("s7", 80);
  assert.ok(host !== undefined);
  await rig.take("EDS", [assignment(7, 9)]);
  const now = rig.world.current;
  assert.equal(now.revision, before.revision + 1);
  assert.deepEqual(statsOf(rig), { rebuiltTables: 0, recompiled: 0 });
  assert.equal(now.program.routeConfigurations, before.program.routeConfigurations);
  assert.equal(now.program.clusters, before.program.clusters);
  assert.equal(now.tables.findVirtualHost("s7", 80), host);
  assert.equal(now.program.loadAssignments.get(nameOf(7))?.endpoints[0]?.lbEndpoints[0]?.port, 9);
});

// The table is too large to be fingerprinted as a whole.
Deno.test("one route among many: its virtual host alone is compiled; the same table again is no publication", async () => {
  const rig = await rigOf();
  await rig.take("RDS", [tableBytes(own)]);
  const { tables } = rig.world.current;
  const changed = tableBytes((i) => nameOf(i === 7 ? 8 : i));
  await rig.take("RDS", [changed]);
  assert.deepEqual(statsOf(rig), { rebuiltTables: 1, recompiled: 1 });
  assert.notEqual(rig.world.current.tables.findVirtualHost("s7", 80), tables.findVirtualHost("s7", 80));
  assert.equal(rig.world.current.tables.findVirtualHost("s6", 80), tables.findVirtualHost("s6", 80));
  await rig.take("RDS", [changed]);
  assert.equal(rig.publications.length, 2);
});

function statsOf({ publications }: Rig) {
  const { rebuiltTables, recompiled } = publications.at(-1)?.stats ?? {};
  return { rebuiltTables, recompiled };
}

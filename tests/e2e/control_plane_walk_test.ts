/**
 * A random walk through worlds, with the trouble that streams have, seeded: after every step each service is answered by who has it,
 * and what is gone by nobody.
 */
import assert from "node:assert/strict";
import type { ControlPlane } from "../harness/control_plane.ts";
import { until } from "../harness/bytes.ts";
import { GENERATIONS, type Mesh, nameOf, service, startMesh } from "../harness/mesh.ts";

const HOSTS = ["a", "b", "c", "d", "e"];
/** Not 80: its names are also in the table `http_proxy`, which istiod's sidecars read without the port. */
const PORTS = [8081, 8084, 9095, 9096];
const STEPS = 25;
const SEED = 20261124;

/** Uniform in [0, 1). */
type Rng = () => number;

function mulberry32(seed: number): Rng {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function pick<T>(rng: Rng, from: readonly T[]): T {
  return from[Math.floor(rng() * from.length)]!;
}

interface Place {
  readonly port: number;
  readonly upstream: "v1" | "v2";
}
/** Host -> where it is. */
type World = ReadonlyMap<string, Place>;

function change(world: World, rng: Rng): World {
  const next = new Map(world);
  for (let changes = 1 + Math.floor(rng() * 3); changes > 0; changes--) {
    const host = pick(rng, HOSTS);
    if (next.has(host) && rng() < 0.4) next.delete(host);
    else next.set(host, { port: pick(rng, PORTS), upstream: pick(rng, ["v1", "v2"]) });
  }
  return next;
}

function yamlOf(world: World, mesh: Pick<Mesh, "v1" | "v2">): string {
  return [...world].map(([host, { port, upstream }]) => service(host, port, mesh[upstream])).join("---\n");
}

/** What may happen around a change; `next` tells the plane a further world. */
const TROUBLES: readonly ((plane: ControlPlane, next: () => Promise<void>) => Promise<void>)[] = [
  (_, next) => next(),
  async (_, next) => {
    await next();
    await next();
  },
  async (plane, next) => {
    await plane.hold(["EDS", "RDS"]);
    await next();
    await next();
    await plane.release();
  },
  async (plane, next) => {
    await plane.hold(["CDS"]);
    await next();
    await plane.release();
    await next();
  },
  async (plane, next) => {
    await next();
    await plane.disconnect();
  },
  async (plane, next) => {
    await plane.end(0);
    await next();
  },
  async (plane, next) => {
    await next();
    await plane.push();
  },
];

/** Streams that are lost one after the other are tried again later and later; asked to, the agent tries at once. */
async function connected({ plane, agent }: Mesh): Promise<void> {
  const isOpen = () =>
    plane.events.findLast((e) => e.kind === "open" || e.kind === "closed")?.kind === "open";
  let polls = 0;
  await until(() => {
    if (isOpen()) return true;
    if (polls++ % 100 === 0) agent.signal("SIGHUP");
    return false;
  }, "a stream");
}

async function inForce(mesh: Mesh, world: World): Promise<void> {
  for (const host of HOSTS) {
    for (const port of PORTS) {
      const place = world.get(host);
      const wanted = place?.port === port ? place.upstream : "nobody";
      const authority = `${host}:${port}`;
      let last = "";
      await until(async () => {
        last = await mesh.instance(authority);
        return (last === "v1" || last === "v2" ? last : "nobody") === wanted;
      }, `${authority} answered by ${wanted}`).catch((e: Error) => {
        const events = mesh.plane.events.slice(-30).map((event) => JSON.stringify(event).slice(0, 400));
        throw new Error(
          `${e.message}; last: ${last}\n${events.join("\n")}\n${mesh.agent.printed().slice(-4000)}`,
        );
      });
    }
  }
}

for (const generation of GENERATIONS) {
  Deno.test(`control plane, ${nameOf(generation)}: a random walk through worlds and troubles`, async () => {
    const rng = mulberry32(SEED);
    let world: World = change(new Map(), rng);
    await using mesh = await startMesh({ ...generation, rules: (upstreams) => yamlOf(world, upstreams) });
    const { plane } = mesh;
    for (let step = 0; step < STEPS; step++) {
      await pick(rng, TROUBLES)(plane, async () => {
        world = change(world, rng);
        await plane.serve(yamlOf(world, mesh));
      });
      await connected(mesh);
      await inForce(mesh, world).catch((e) => {
        throw new Error(`step ${step}: ${(e as Error).message}`);
      });
    }
    assert.equal(plane.events.some((e) => e.kind === "panic" || e.kind === "goaway"), false);
    assert.deepEqual(plane.requests().filter((e) => e.error !== undefined), []);
  });
}

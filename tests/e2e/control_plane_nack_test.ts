/** Bad answers and answers that cross: what is sound takes hold, what is not is refused by name, and nothing is lost. */
import assert from "node:assert/strict";
import type { ControlPlane, RequestEvent } from "../harness/control_plane.ts";
import { type Generation, GENERATIONS, nameOf, service, startMesh } from "../harness/mesh.ts";
import { encodeMessage } from "../harness/xds_encode.ts";
import { programOf, resourcesOf, type WireResource, type WireResources } from "../harness/xds_resources.ts";

const V3: readonly Generation[] = GENERATIONS.filter(({ temper }) => temper === "istiod");

/** The resources of these rules, with one of them replaced. */
function withResource(
  yaml: string,
  { temper }: Generation,
  type: keyof WireResources,
  name: string,
  bytes: Uint8Array,
): WireResources {
  const resources = resourcesOf(programOf(yaml), temper);
  const replaced = (r: WireResource): WireResource => r.name === name ? { name, bytes } : r;
  return { ...resources, [type]: resources[type].map(replaced) };
}

function isNack(event: { readonly kind: string; readonly error?: string }): event is RequestEvent {
  return event.kind === "request" && event.error !== undefined;
}

async function nackOf(plane: ControlPlane, from: number): Promise<RequestEvent> {
  return await plane.waitFor((e): e is RequestEvent => isNack(e), "a NACK", from);
}

const ISTIOSERVER = "istioserver.default.svc.cluster.local";

for (const generation of GENERATIONS) {
  Deno.test(`control plane, ${nameOf(generation)}: a bad assignment is refused by name and field, its neighbours apply`, async () => {
    await using mesh = await startMesh({
      ...generation,
      rules: ({ v1 }) => service("good", 8084, v1) + "---\n" + service("bad", 8084, v1),
    });
    const { plane, v1, v2 } = mesh;
    await mesh.answeredBy("v1", "good:8084");
    const name = "outbound|8084||bad.default.svc.cluster.local";
    const rules = (upstream: { port: number }) =>
      service("good", 8084, upstream) + "---\n" + service("bad", 8084, v1);
    const broken = encodeMessage("ClusterLoadAssignment", {
      clusterName: name,
      endpoints: [{
        lbEndpoints: [{
          endpoint: { address: { socketAddress: { address: "127.0.0.1", portValue: 70000 } } },
        }],
      }],
    });
    const from = plane.events.length;
    await plane.set(withResource(rules(v2), generation, "EDS", name, broken));
    const nack = await nackOf(plane, from);
    assert.equal(nack.type, "EDS");
    assert.ok(nack.error!.includes(name), nack.error!);
    assert.match(
      nack.error!,
      /endpoints\[0\]\.lb_endpoints\[0\]\.endpoint\.address\.socket_address\.port_value/,
    );
    await mesh.answeredBy("v2", "good:8084");
    assert.equal(await mesh.instance("bad:8084"), "v1");

    // Mended, it is taken like any other.
    await plane.serve(service("good", 8084, v2) + "---\n" + service("bad", 8084, v2));
    await mesh.answeredBy("v2", "bad:8084");
    await plane.settled();
    assert.equal(plane.requests("EDS").at(-1)!.error, undefined);
  });
}

for (const generation of V3) {
  Deno.test(`control plane, ${nameOf(generation)}: bytes that are no table leave the whole answer unused`, async () => {
    await using mesh = await startMesh(generation);
    const { plane } = mesh;
    const from = plane.events.length;
    const table = new Uint8Array([10, 4, 56, 48, 56, 52, 18, 255, 255]); // name "8084", then a virtual host that is cut
    await plane.set(withResource(mesh.split({ v1: 0, v2: 100 }), generation, "RDS", "8084", table));
    const nack = await nackOf(plane, from);
    assert.equal(nack.type, "RDS");
    assert.match(nack.error!, /RouteConfiguration 8084/);
    for (let i = 0; i < 20; i++) assert.equal(await mesh.instance(), "v1");
    await plane.serve(mesh.split({ v1: 0, v2: 100 }));
    await mesh.answeredBy("v2");
  });

  Deno.test(`control plane, ${nameOf(generation)}: names that came with a NACK are asked for again`, async () => {
    await using mesh = await startMesh(generation);
    const { plane, v1 } = mesh;
    // A new listener and a broken table in one push: the NACK goes out while a name is added.
    const yaml = mesh.split({ v1: 100, v2: 0 }) + "---\n" + service("extra", 9095, v1);
    const table = encodeMessage("RouteConfiguration", {
      name: "8084",
      virtualHosts: [{
        name: "istioserver",
        domains: ["istioserver"],
        routes: [{
          match: { safeRegex: { regex: "(" } },
          route: { cluster: `outbound|8084||${ISTIOSERVER}` },
        }],
      }],
    });
    const from = plane.events.length;
    await plane.set(withResource(yaml, generation, "RDS", "8084", table));
    const nack = await nackOf(plane, from);
    assert.match(nack.error!, /8084.*virtual_hosts\[0\]\.routes\[0\]\.match\.safe_regex/s);
    await mesh.answeredBy("v1", "extra:9095");
    assert.equal(await mesh.instance(), "v1");
  });

  Deno.test(`control plane, ${nameOf(generation)}: names asked for with the nonce of an older answer are asked for again`, async () => {
    await using mesh = await startMesh(generation);
    const { plane, v1, v2 } = mesh;
    // Endpoints move, and the answer that says so waits. The service that comes meanwhile is asked for with an older nonce.
    await plane.hold(["EDS"]);
    const from = plane.events.length;
    await plane.serve(service("istioserver", 8084, v2));
    await plane.serve(service("istioserver", 8084, v2) + "---\n" + service("late", 8084, v1));
    await plane.waitFor(
      (e) => e.kind === "request" && e.type === "CDS" && e.nonce !== "",
      "the ACK of clusters",
      from,
    );
    await plane.waitFor((e) => e.kind === "request" && e.type === "EDS", "the question for endpoints", from);
    await plane.release();
    await mesh.answeredBy("v1", "late:8084");
    await mesh.answeredBy("v2");
  });
}

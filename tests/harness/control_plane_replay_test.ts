/**
 * The scripted control plane against the recorded ones: the recorded requests are sent again, and the answers must come in the same
 * order, of the same types and for the same names.
 */
import assert from "node:assert/strict";
import type { JsonObject } from "../../agent/admin/envoy_json.ts";
import { type ResourceType, typeOfUrl } from "../../agent/xds/types.ts";
import { ConfigFolder, HELD_BACK } from "./config_folder.ts";
import { type ControlPlane, type ResponseEvent, startControlPlane } from "./control_plane.ts";
import { NODE, XdsClient } from "./xds_client.ts";
import { programOf, resourcesOf, type WireResource } from "./xds_resources.ts";

const RECORDINGS = new URL("../recordings/", import.meta.url).pathname;

interface Request {
  readonly kind: "request";
  readonly typeUrl: string;
  /** As recorded. */
  readonly nonce: string;
  /** Further fields, in proto-JSON. */
  readonly fields: JsonObject;
}
interface Response {
  readonly kind: "response";
  readonly type: ResponseEvent["type"];
  readonly nonce: string;
  readonly names: readonly string[];
  readonly removed: readonly string[];
}
interface Step {
  readonly kind: "step";
  readonly name: string;
}
type Recorded = Request | Response | Step;

interface Replay {
  readonly plane: ControlPlane;
  readonly client: XdsClient;
  readonly recorded: readonly Recorded[];
  /** What a step does to the plane. */
  readonly take: (step: string) => Promise<void>;
  /** An answer was recorded that the plane has not given. */
  readonly missing?: () => Promise<void>;
}

/** Sends the recorded requests, each after the answers that were there before it. Gives the answers of the plane. */
async function replay({ plane, client, recorded, take, missing }: Replay): Promise<ResponseEvent[]> {
  const from = plane.events.length;
  const ours = () => plane.events.slice(from).filter((e) => e.kind === "response");
  const nonces = new Map<string, string>();
  let sent = 0;
  let answers = 0;
  for (const event of recorded) {
    if (event.kind === "step") await take(event.name);
    else if (event.kind === "request") {
      const nonce = nonces.get(event.nonce) ?? event.nonce;
      client.askFor(event.typeUrl, { ...event.fields, ...(nonce === "" ? {} : { responseNonce: nonce }) });
      const nth = ++sent;
      const arrived = () => plane.events.slice(from).filter((e) => e.kind === "request").length >= nth;
      await plane.waitFor(arrived, `request ${nth} of the recording`);
      // The plane answers at once: once it did anything later, its answers are known.
      await plane.release();
    } else {
      if (ours()[answers] === undefined) await missing?.();
      const nonce = ours()[answers++]?.nonce;
      if (nonce !== undefined) nonces.set(event.nonce, nonce);
    }
  }
  return ours();
}

// ---------------------------------------------------------------- Pilot: one stream for each question

interface ProbeEvent {
  readonly event: string;
  readonly text?: string;
  readonly request?: {
    readonly type_url?: string;
    readonly resource_names?: readonly string[];
    readonly node_id?: string;
    readonly version_info?: string;
    readonly response_nonce?: string;
    readonly error_detail?: unknown;
  };
  readonly type_url?: string;
  readonly nonce?: string;
  readonly names?: readonly (string | null)[] | null;
  readonly code?: string;
}

function readProbe(path: string, name: string): Recorded[] {
  const { events } = JSON.parse(Deno.readTextFileSync(path)) as { events: readonly ProbeEvent[] };
  return events.flatMap((e): Recorded[] => {
    if (e.event === "response") {
      const names = (e.names ?? []).map((n) => n ?? "");
      return [{ kind: "response", type: typeOfUrl(e.type_url!)!, nonce: e.nonce!, names, removed: [] }];
    }
    if (e.event === "note") return /change/.test(e.text!) ? [{ kind: "step", name: e.text! }] : [];
    if (e.event !== "request") return [];
    const { type_url = "", resource_names = [], node_id, version_info = "", response_nonce = "" } = e
      .request!;
    const id = node_id ?? (name === "node-id-empty" ? "" : undefined);
    return [{
      kind: "request",
      typeUrl: type_url,
      nonce: response_nonce,
      fields: {
        versionInfo: version_info,
        resourceNames: resource_names,
        ...(id === undefined ? {} : { node: { ...NODE, id } }),
        ...(e.request!.error_detail === undefined ? {} : { errorDetail: { code: 3, message: "refused" } }),
      },
    }];
  });
}

const CDS = [
  ...["", "v1", "v2", "v3"].map((subset) => `outbound|8084|${subset}|istioserver.default.svc.cluster.local`),
  "inbound|3333||mgmtCluster",
  "inbound|9999||mgmtCluster",
  "BlackHoleCluster",
];
const LDS = ["0.0.0.0_8084", "10.1.1.7_3333", "10.1.1.7_9999", "virtual"];
const named = (names: readonly string[]): WireResource[] =>
  names.map((name) => ({
    name,
    bytes: new Uint8Array([10, name.length, ...new TextEncoder().encode(name)]),
  }));

const DIES = /^(no-node-|rds-nonnumeric-|rds-known-and-nonnumeric)/;

for (const version of ["0.8.0", "1.0.9"] as const) {
  Deno.test(`control plane: pilot-${version} answers as recorded`, async (t) => {
    const folder = `${RECORDINGS}pilot-${version}/v2/istioserver/probes`;
    const start = async () => {
      const plane = await startControlPlane({ temper: `pilot-${version}` });
      await plane.set({ CDS: named(CDS), LDS: named(LDS) });
      return plane;
    };
    await using shared = await start();
    for (const { name } of [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)) {
      await t.step(name, async () => {
        const dies = version === "0.8.0" && DIES.test(name);
        await using own = dies ? await start() : undefined;
        const plane = own ?? shared;
        using client = await XdsClient.connect(plane.port, "v2");
        const drained = client.drain();
        const recorded = readProbe(`${folder}/${name}/transcript.json`, name);
        const say = (r: Pick<Response, "type" | "names">) => `${r.type}: ${r.names.join(", ")}`;
        const theirs = recorded.filter((e) => e.kind === "response").map(say);
        // Without steps: what came unasked was a push. One change was recorded as two or three pushes, here it is one.
        let pushes = 0;
        const missing = async () => {
          if (pushes++ === 0) await plane.push();
        };
        const played = replay({ plane, client, recorded, take: () => Promise.resolve(), missing });
        if (dies) {
          await assert.rejects(played, /the control plane ended/);
          await plane.waitFor((e) => e.kind === "panic", "its death");
          assert.deepEqual(plane.responses().map(say), theirs);
        } else {
          const ours = (await played).map(say);
          assert.deepEqual(ours, theirs.slice(0, ours.length));
          if (pushes === 0) assert.equal(ours.length, theirs.length);
          else assert.ok(ours.length > theirs.length / 4);
        }
        client.close();
        await drained;
      });
    }
  });
}

// ---------------------------------------------------------------- istiod: one stream through many changes of the files

interface UpdateEvent {
  readonly dir: "request" | "response" | "step";
  readonly note?: string;
  readonly type: ResourceType;
  readonly type_url: string;
  readonly response_nonce?: string;
  readonly resource_names?: readonly string[];
  readonly resource_names_subscribe?: readonly string[];
  readonly resource_names_unsubscribe?: readonly string[];
  readonly nonce: string;
  readonly resources?: readonly string[];
  readonly removed_resources?: readonly string[];
}

function readUpdates(path: string): Recorded[] {
  const { events } = JSON.parse(Deno.readTextFileSync(path)) as { events: readonly UpdateEvent[] };
  return events.map((e, i): Recorded => {
    if (e.dir === "step") return { kind: "step", name: e.note! };
    if (e.dir === "response") {
      const { type, nonce, resources = [], removed_resources = [] } = e;
      return { kind: "response", type, nonce, names: resources, removed: removed_resources };
    }
    const { resource_names, resource_names_subscribe, resource_names_unsubscribe } = e;
    return {
      kind: "request",
      typeUrl: e.type_url,
      nonce: e.response_nonce ?? "",
      fields: {
        ...(i === 0 ? { node: NODE } : {}),
        ...(resource_names === undefined ? {} : { resourceNames: resource_names }),
        ...(resource_names_subscribe === undefined
          ? {}
          : { resourceNamesSubscribe: resource_names_subscribe }),
        ...(resource_names_unsubscribe === undefined
          ? {}
          : { resourceNamesUnsubscribe: resource_names_unsubscribe }),
      },
    };
  });
}

/** Mending the folder made istiod read it anew, which pushed all endpoints once more: one answer that the plane does not give. */
function withoutRereading(recorded: readonly Recorded[]): Recorded[] {
  const mended = recorded.findIndex((e) => e.kind === "step" && e.name.startsWith("14-"));
  const again = recorded.findIndex((e, i) => i > mended && e.kind === "response" && e.type === "EDS");
  return recorded.filter((_, i) => i !== again);
}

for (const mode of ["updates", "updates-delta"] as const) {
  Deno.test(`control plane: istiod answers as recorded (${mode})`, async () => {
    const folder = `${RECORDINGS}istiod-2026-08/istioserver/${mode}`;
    const config = new ConfigFolder(`${folder}/config`);
    const resources = () =>
      resourcesOf(programOf([...config.files.values()].join("\n---\n")), "istiod", { httpProxyPort: 15080 });
    await using plane = await startControlPlane({ temper: "istiod" });
    await plane.set(resources());
    using client = await XdsClient.connect(plane.port, "v3", mode === "updates-delta");
    const drained = client.drain();
    const recorded = withoutRereading(readUpdates(`${folder}/transcript.json`));
    const ours = await replay({
      plane,
      client,
      recorded,
      take: async (name) => {
        config.take(name);
        if (!HELD_BACK.test(name)) await plane.set(resources());
      },
    });
    const say = (r: Pick<Response, "type" | "names" | "removed">) =>
      `${r.type}: ${[...r.names].sort().join(", ")} without ${[...r.removed].sort().join(", ")}`;
    assert.deepEqual(
      ours.map(say),
      recorded.filter((e) => e.kind === "response").map(say),
    );
    client.close();
    await drained;
  });
}

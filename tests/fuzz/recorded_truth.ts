/**
 * What a recorded control plane holds by now, whatever became of its messages on the way, and the answers that say all of it.
 *
 * Recorded answers in; whole pushes out.
 */
import { type ResourceType, typeUrlOf } from "../../agent/xds/types.ts";
import type { Messages } from "../../protos/schema.ts";
import type { RecordedAnswer, RecordedCall, Recording } from "../harness/recorded_plane.ts";

/** What the server holds: the answers as they were before anything was done to them. */
export class Truth {
  readonly resources: Record<ResourceType, Map<string, Messages["Any"]>> = {
    CDS: new Map(),
    EDS: new Map(),
    LDS: new Map(),
    RDS: new Map(),
  };
  /** Every name that went over the wire, by type. */
  readonly everSaid: Record<ResourceType, Set<string>> = {
    CDS: new Set(),
    EDS: new Set(),
    LDS: new Set(),
    RDS: new Set(),
  };
  #pushes = 0;

  constructor(readonly recording: Recording) {}

  take({ type, bytes, names }: RecordedAnswer): void {
    const { schema, delta } = this.recording;
    const held = this.resources[type];
    if (delta) {
      const { resources, removed_resources } = schema.decode("DeltaDiscoveryResponse", bytes);
      for (const name of removed_resources) held.delete(name);
      // LDS of istiod is whole in delta too.
      if (type === "LDS") held.clear();
      resources.forEach(({ resource }, i) => resource !== null && held.set(names[i] as string, resource));
      return;
    }
    const { resources } = schema.decode("DiscoveryResponse", bytes);
    if (type === "CDS" || type === "LDS") held.clear();
    resources.forEach((any, i) =>
      held.set(type === "RDS" && names[i] === "0" ? "http_proxy" : names[i] as string, any)
    );
  }

  /** All of a type that the call asked for. */
  push(type: ResourceType, call: RecordedCall): RecordedAnswer {
    const { schema, generation, delta } = this.recording;
    const subscribed = call.subscribed[type];
    const wanted = [...this.resources[type]].filter(([name]) => subscribed.has("*") || subscribed.has(name));
    const names = wanted.map(([name]) => name);
    const head = { type_url: typeUrlOf(generation, type), nonce: `good ${++this.#pushes}` };
    const version = `2026-11-24T09:00:00Z/${this.#pushes}`;
    const assignments = type !== "EDS"
      ? []
      : [...subscribed].filter((name) => !names.includes(name)).map((name) => ({
        name,
        // As Pilot: no endpoints.
        any: {
          type_url: head.type_url,
          value: schema.encode("ClusterLoadAssignment", { cluster_name: name }),
        },
      }));
    const all = [...wanted.map(([name, any]) => ({ name, any })), ...assignments];
    const bytes = delta
      ? schema.encode("DeltaDiscoveryResponse", {
        ...head,
        system_version_info: version,
        resources: all.map(({ name, any }) => ({ name, resource: any })),
        removed_resources: type === "EDS"
          ? []
          : [...this.everSaid[type]].filter((name) => !names.includes(name)),
      })
      : schema.encode("DiscoveryResponse", {
        ...head,
        version_info: version,
        resources: all.map(({ any }) => any),
      });
    return { step: "", type, names, version, nonce: head.nonce, bytes };
  }
}

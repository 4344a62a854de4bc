/**
 * ServiceEntry and WorkloadEntry -> services: one per host name, with its ports and where its endpoints come from
 * (istio-semantics 3.1 and 3.2).
 *
 * In: documents, one by one as they come and go. Out: {@link Service} by host name, and which hosts a change touched.
 */
import { isWildcard } from "./host_pattern.ts";
import { includesLabels } from "./destination_rules.ts";
import { compareDocuments, exportedTo } from "./order.ts";
import type {
  ProxyContext,
  RuleDocument,
  ServiceEntrySpec,
  ServicePort,
  WorkloadEntrySpec,
} from "./resources.ts";

export type ServiceEntryDocument = RuleDocument<ServiceEntrySpec>;
export type WorkloadEntryDocument = RuleDocument<WorkloadEntrySpec>;

/** What the name of a port's protocol means for us (0.4). */
export type PortKind = "http" | "http2" | "tcp" | "tls" | "sniffed";

const PORT_KINDS: Readonly<Record<string, PortKind>> = {
  http: "http",
  http_proxy: "http",
  http2: "http2",
  grpc: "http2",
  "grpc-web": "http2",
  tcp: "tcp",
  mongo: "tcp",
  redis: "tcp",
  mysql: "tcp",
  udp: "tcp",
  hbone: "tcp",
  "double-hbone": "tcp",
  https: "tls",
  tls: "tls",
};

export function portKind(protocol: string | undefined): PortKind {
  return PORT_KINDS[(protocol ?? "").toLowerCase()] ?? "sniffed";
}

/** HTTP ports and those whose protocol is found out by looking get virtual hosts. */
export function hasRoutes(kind: PortKind): boolean {
  return kind === "http" || kind === "http2" || kind === "sniffed";
}

export interface PortOfService {
  readonly number: number;
  readonly name: string;
  readonly kind: PortKind;
  /** Place in its document. */
  readonly index: number;
  readonly document: ServiceEntryDocument;
}

export interface Service {
  readonly host: string;
  readonly namespace: string;
  readonly ports: readonly PortOfService[];
  readonly addresses: readonly string[];
  readonly resolution: NonNullable<ServiceEntrySpec["resolution"]>;
  readonly external: boolean;
  /** Those that give endpoints, in order; the first decides all else. */
  readonly documents: readonly ServiceEntryDocument[];
}

/** How much of a host changed: only its endpoints, or more. */
export type Touched = ReadonlyMap<string, "endpoints" | "service">;

/** Ports of an entry, nulls left out. */
function portsOf(document: ServiceEntryDocument): readonly ServicePort[] {
  return (document.spec.ports ?? []).filter((p) => p !== null);
}

export class Services {
  readonly #proxy: ProxyContext;
  readonly #definitions = new Map<string, ServiceEntryDocument[]>();
  readonly #services = new Map<string, Service>();
  /** Entries with a workloadSelector, by namespace. */
  readonly #selecting = new Map<string, Set<ServiceEntryDocument>>();
  readonly #workloads = new Map<string, Map<string, WorkloadEntryDocument>>();

  constructor(proxy: ProxyContext) {
    this.#proxy = proxy;
  }

  get(host: string): Service | undefined {
    return this.#services.get(host);
  }

  all(): IterableIterator<Service> {
    return this.#services.values();
  }

  hosts(): IterableIterator<string> {
    return this.#services.keys();
  }

  /** Applies changes: `undefined` before means new, `undefined` after means gone. */
  update(
    entries: readonly (readonly [
      before: ServiceEntryDocument | undefined,
      after: ServiceEntryDocument | undefined,
    ])[],
    workloads: readonly (readonly [WorkloadEntryDocument | undefined, WorkloadEntryDocument | undefined])[],
  ): Touched {
    const touched = new Map<string, "endpoints" | "service">();
    for (const [before, after] of workloads) {
      for (const document of [before, after]) {
        if (document === undefined) continue;
        for (const entry of this.#selecting.get(document.namespace) ?? []) {
          if (!includesLabels(workloadLabels(document), selectorOf(entry) ?? {})) continue;
          for (const host of hostsOf(entry)) {
            const service = this.#services.get(host);
            // Endpoints of DNS services stand in the cluster itself.
            if (service !== undefined) {
              touched.set(host, service.resolution === "STATIC" ? "endpoints" : "service");
            }
          }
        }
      }
      const namespace = (after ?? before)?.namespace ?? "";
      let known = this.#workloads.get(namespace);
      if (known === undefined) this.#workloads.set(namespace, known = new Map());
      if (after === undefined) known.delete((before as WorkloadEntryDocument).name);
      else known.set(after.name, after);
    }
    const hosts = new Set<string>();
    for (const [before, after] of entries) {
      if (before !== undefined) this.#forget(before, hosts);
      if (after !== undefined) this.#define(after, hosts);
    }
    for (const host of hosts) {
      const before = this.#services.get(host);
      const after = this.#derive(host);
      if (after === undefined) this.#services.delete(host);
      else this.#services.set(host, after);
      if (before !== undefined && after !== undefined && sameButEndpoints(before, after)) {
        if (!touched.has(host)) touched.set(host, "endpoints");
      } else if (before !== undefined || after !== undefined) {
        touched.set(host, "service");
      }
    }
    return touched;
  }

  /** WorkloadEntries that an entry selects, by name. */
  workloadsOf(entry: ServiceEntryDocument): readonly WorkloadEntryDocument[] {
    const selector = selectorOf(entry);
    if (selector === undefined) return [];
    const found: WorkloadEntryDocument[] = [];
    for (const workload of this.#workloads.get(entry.namespace)?.values() ?? []) {
      if (includesLabels(workloadLabels(workload), selector)) found.push(workload);
    }
    return found.sort(compareDocuments);
  }

  #define(document: ServiceEntryDocument, touched: Set<string>): void {
    if (selectorOf(document) !== undefined) {
      let set = this.#selecting.get(document.namespace);
      if (set === undefined) this.#selecting.set(document.namespace, set = new Set());
      set.add(document);
    }
    if (!exportedTo(document.spec.exportTo, document.namespace, this.#proxy.namespace)) return;
    for (const host of hostsOf(document)) {
      touched.add(host);
      const known = this.#definitions.get(host);
      if (known === undefined) this.#definitions.set(host, [document]);
      else if (!known.includes(document)) {
        known.push(document);
        known.sort(compareDocuments);
      }
    }
  }

  #forget(document: ServiceEntryDocument, touched: Set<string>): void {
    this.#selecting.get(document.namespace)?.delete(document);
    for (const host of hostsOf(document)) {
      const known = this.#definitions.get(host);
      const at = known?.indexOf(document) ?? -1;
      if (known === undefined || at < 0) continue;
      touched.add(host);
      known.splice(at, 1);
      if (known.length === 0) this.#definitions.delete(host);
    }
  }

  #derive(host: string): Service | undefined {
    const known = this.#definitions.get(host);
    if (known === undefined) return undefined;
    const first = known.find((d) => d.namespace === this.#proxy.namespace) ??
      known[0] as ServiceEntryDocument;
    const documents = known.length === 1
      ? known.slice()
      : known.filter((d) => d.namespace === first.namespace);
    const ports: PortOfService[] = [];
    for (const document of documents) {
      for (const [index, port] of portsOf(document).entries()) {
        if (documents.length > 1 && ports.some((p) => p.number === port.number)) continue;
        ports.push({ number: port.number, name: port.name, kind: portKind(port.protocol), index, document });
      }
    }
    return {
      host,
      namespace: first.namespace,
      ports,
      addresses: first.spec.addresses ?? [],
      resolution: first.spec.resolution ?? "NONE",
      external: first.spec.location !== "MESH_INTERNAL",
      documents,
    };
  }
}

/** Host names as written, lower-cased, once each. */
function hostsOf(document: ServiceEntryDocument): readonly string[] {
  const hosts = document.spec.hosts ?? [];
  if (hosts.length === 1) return [String(hosts[0]).toLowerCase()];
  return [...new Set(hosts.map((h) => String(h).toLowerCase()))];
}

function selectorOf(document: ServiceEntryDocument): Readonly<Record<string, string>> | undefined {
  const labels = document.spec.workloadSelector?.labels;
  return labels === undefined || labels === null || Object.keys(labels).length === 0 ? undefined : labels;
}

/** Labels of the spec; those of the object itself win, as in Istio. */
export function workloadLabels(document: WorkloadEntryDocument): Readonly<Record<string, string>> {
  if (Object.keys(document.labels).length === 0) return document.spec.labels ?? {};
  return { ...document.spec.labels, ...document.labels };
}

/** Whether routes and clusters of both are the same: everything but endpoints, places included. */
function sameButEndpoints(a: Service, b: Service): boolean {
  if (a.resolution !== b.resolution || a.resolution !== "STATIC") return false;
  if (a.namespace !== b.namespace || a.external !== b.external || isWildcard(a.host)) return false;
  if (a.addresses.join() !== b.addresses.join() || a.ports.length !== b.ports.length) return false;
  for (const [i, port] of a.ports.entries()) {
    const other = b.ports[i] as PortOfService;
    if (port.number !== other.number || port.name !== other.name || port.kind !== other.kind) return false;
    if (port.index !== other.index || !samePlace(port.document, other.document)) return false;
  }
  return a.documents.length === b.documents.length &&
    a.documents.every((d, i) => samePlace(d, b.documents[i] as ServiceEntryDocument));
}

function samePlace(a: RuleDocument, b: RuleDocument): boolean {
  return a.origin.file === b.origin.file && a.origin.line === b.origin.line && a.name === b.name &&
    linesAbove(a) === linesAbove(b);
}

/** Lines of text above the endpoints: while they stay, so do the places of hosts and ports. */
function linesAbove(document: RuleDocument): string {
  const { text } = document.source.document;
  const at = text.search(/^[ \t-]*endpoints[ \t]*:/m);
  return at < 0 ? text : text.slice(0, at);
}

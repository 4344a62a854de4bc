/**
 * Endpoints of a service -> localities of a load assignment (istio-semantics 3.1 and 3.2). A subset's assignment holds the
 * same {@link LbEndpoint} objects as the service's own.
 */
import type { ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints } from "../model/model.ts";
import { isWildcard } from "./host_pattern.ts";
import { includesLabels } from "./destination_rules.ts";
import type { WorkloadEntrySpec } from "./resources.ts";
import {
  type PortOfService,
  type Service,
  type ServiceEntryDocument,
  type Services,
  workloadLabels,
} from "./services.ts";

/** One endpoint of one port. */
export interface PlacedEndpoint {
  readonly endpoint: LbEndpoint;
  /** `region/zone/subZone`, empty when unknown. */
  readonly locality: string;
}

const NO_LABELS: Readonly<Record<string, string>> = {};

export function endpointsOf(service: Service, port: PortOfService, services: Services): PlacedEndpoint[] {
  const placed: PlacedEndpoint[] = [];
  for (const document of service.documents) {
    const own = document === port.document
      ? document.spec.ports?.[port.index]
      : document.spec.ports?.find((p) => p?.number === port.number && p.name === port.name);
    if (own === undefined || own === null) continue;
    const target = own.targetPort || own.number;
    let any = false;
    for (const entry of document.spec.endpoints ?? []) {
      if (entry === null) continue;
      any = true;
      push(placed, entry, entry.labels ?? NO_LABELS, own.name, target);
    }
    for (const workload of services.workloadsOf(document)) {
      any = true;
      push(placed, workload.spec, workloadLabels(workload), own.name, target);
    }
    if (!any && isResolved(service) && !isWildcard(service.host) && !selects(document)) {
      placed.push({ endpoint: { address: service.host, port: target }, locality: "" });
    }
  }
  return placed;
}

/** Whether the endpoints are names that DNS resolves. */
export function isResolved(service: Service): boolean {
  return service.resolution === "DNS" || service.resolution === "DNS_ROUND_ROBIN";
}

function selects(document: ServiceEntryDocument): boolean {
  return Object.keys(document.spec.workloadSelector?.labels ?? {}).length > 0;
}

function push(
  placed: PlacedEndpoint[],
  entry: WorkloadEntrySpec,
  labels: Readonly<Record<string, string>>,
  portName: string,
  targetPort: number,
): void {
  const address = entry.address ?? "";
  // Without an address it can only be reached through another network's gateway.
  if (address === "") return;
  const port = address.startsWith("unix:") ? 0 : entry.ports?.[portName] || targetPort;
  const weight = entry.weight ?? 0;
  placed.push({
    endpoint: {
      address,
      port,
      ...(weight > 1 ? { loadBalancingWeight: weight } : {}),
      ...(labels === NO_LABELS ? {} : { labels }),
    },
    locality: entry.locality ?? "",
  });
}

/** Of endpoints, those that a subset's labels select. */
export function selectEndpoints(
  placed: readonly PlacedEndpoint[],
  labels: Readonly<Record<string, string>>,
): readonly PlacedEndpoint[] {
  return placed.filter((p) => includesLabels(p.endpoint.labels ?? NO_LABELS, labels));
}

/** Groups by locality, localities in the order of their names. */
export function loadAssignment(
  clusterName: string,
  placed: readonly PlacedEndpoint[],
): ClusterLoadAssignment {
  return { clusterName, endpoints: localities(placed) };
}

function localities(placed: readonly PlacedEndpoint[]): readonly LocalityLbEndpoints[] {
  if (placed.length === 0) return [];
  const first = (placed[0] as PlacedEndpoint).locality;
  if (placed.every((p) => p.locality === first)) return [locality(first, placed)];
  const groups = new Map<string, PlacedEndpoint[]>();
  for (const p of placed) {
    const group = groups.get(p.locality);
    if (group === undefined) groups.set(p.locality, [p]);
    else group.push(p);
  }
  return [...groups.keys()].sort().map((name) => locality(name, groups.get(name) ?? []));
}

function locality(name: string, placed: readonly PlacedEndpoint[]): LocalityLbEndpoints {
  const lbEndpoints = placed.map((p) => p.endpoint);
  let weight = 0;
  for (const e of lbEndpoints) weight += e.loadBalancingWeight ?? 1;
  const [region = "", zone = "", subZone = ""] = name.split("/");
  return {
    ...(region === "" ? {} : {
      locality: { region, ...(zone === "" ? {} : { zone }), ...(subZone === "" ? {} : { subZone }) },
    }),
    loadBalancingWeight: weight,
    lbEndpoints,
  };
}

/** What the demo shows, read out of the compiled rules: the first service that is split between loopback endpoints. */
import type { Program, VirtualHost } from "../model/model.ts";

export interface DemoEndpoint {
  readonly version: string;
  readonly hostname: string;
  readonly port: number;
}

export interface DemoShare {
  readonly version: string;
  readonly weight: number;
  readonly endpoints: readonly string[];
}

export interface DemoPlan {
  /** `http://istioserver:8084/hello` */
  readonly url: string;
  readonly host: string;
  /** Shares of the catch-all route, by label `version`. */
  readonly shares: readonly DemoShare[];
}

/** Every loopback endpoint that the rules name, once: the upstreams to start. */
export function demoEndpoints(program: Program): DemoEndpoint[] {
  const found = new Map<string, DemoEndpoint>();
  for (const assignment of assignmentsOf(program)) {
    for (const { address, port, labels } of assignment.endpoints.flatMap((l) => l.lbEndpoints)) {
      if (!/^127\.|^::1$/.test(address) || port === 0) continue;
      const key = `${address}:${port}`;
      if (!found.has(key)) found.set(key, { version: labels?.["version"] ?? key, hostname: address, port });
    }
  }
  return [...found.values()].sort((a, b) => a.port - b.port);
}

/** Undefined when no service of the rules has a loopback endpoint. */
export function demoPlan(program: Program): DemoPlan | undefined {
  let best: DemoPlan | undefined;
  for (const [port, { virtualHosts }] of program.routeConfigurations) {
    for (const virtualHost of virtualHosts) {
      const shares = sharesOf(program, virtualHost);
      const local = shares.length > 0 && shares.every((s) => s.endpoints.length > 0);
      if (!local || (best !== undefined && best.shares.length >= shares.length)) continue;
      const host = virtualHost.domains.filter((d) => !/[*:]/.test(d)).sort((a, b) => a.length - b.length)[0];
      if (host !== undefined) best = { url: `http://${host}:${port}/hello`, host, shares };
    }
  }
  return best;
}

function sharesOf(program: Program, { routes }: VirtualHost): DemoShare[] {
  const action = routes.findLast((r) => r.route !== undefined)?.route;
  const clusters = action?.weightedClusters?.clusters ??
    (action?.cluster === undefined ? [] : [{ name: action.cluster, weight: 100 }]);
  return clusters.map(({ name, weight }) => {
    const cluster = program.clusters.get(name);
    const assignment = cluster?.loadAssignment ??
      program.loadAssignments.get(cluster?.edsServiceName ?? name);
    const endpoints = (assignment?.endpoints ?? []).flatMap((l) => l.lbEndpoints)
      .filter((e) => /^127\.|^::1$/.test(e.address));
    return {
      version: cluster?.subsetLabels?.["version"] ?? endpoints[0]?.labels?.["version"] ?? name,
      weight,
      endpoints: endpoints.map((e) => `${e.address}:${e.port}`),
    };
  });
}

function* assignmentsOf(program: Program) {
  yield* program.loadAssignments.values();
  for (const { loadAssignment } of program.clusters.values()) {
    if (loadAssignment !== undefined) yield loadAssignment;
  }
}

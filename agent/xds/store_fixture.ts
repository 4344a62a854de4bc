/** Plain model values and a store that is told of them, for the tests of the store. */
import type {
  Cluster,
  ClusterLoadAssignment,
  FilterChain,
  Listener,
  Program,
  RouteConfiguration,
  VirtualHost,
} from "../model/model.ts";
import { createXdsStore, type XdsStore } from "./store.ts";
import type { Generation, ResourceType } from "./types.ts";

export function eds(name: string, more: Partial<Cluster> = {}): Cluster {
  return {
    name,
    type: "EDS",
    lbPolicy: "ROUND_ROBIN",
    connectTimeout: "1s",
    edsInitialFetchTimeout: "0s",
    ...more,
  };
}

export function fixed(name: string): Cluster {
  return { name, type: "STATIC", lbPolicy: "ROUND_ROBIN", connectTimeout: "1s" };
}

export function endpoints(clusterName: string, ...addresses: string[]): ClusterLoadAssignment {
  return { clusterName, endpoints: [{ lbEndpoints: addresses.map((address) => ({ address, port: 80 })) }] };
}

/** One virtual host for each of `routes`: host name -> cluster. */
export function table(name: string, routes: Readonly<Record<string, string>>): RouteConfiguration {
  const virtualHosts = Object.entries(routes).map(([host, cluster]): VirtualHost => ({
    name: `${host}:${name}`,
    domains: [host],
    routes: [{ match: { prefix: "/" }, route: { cluster } }],
  }));
  return { name, virtualHosts };
}

/** `80` -> a listener with that table from RDS; a table -> with it inline. */
export function http(port: number, of: string | RouteConfiguration, more: Partial<Listener> = {}): Listener {
  const chain: FilterChain = {
    http: { statPrefix: "", ...(typeof of === "string" ? { routeConfigName: of } : { routeConfig: of }) },
  };
  return { name: `0.0.0.0_${port}`, address: "0.0.0.0", port, filterChains: [chain], ...more };
}

export function tcp(name: string, address: string, port: number, cluster: string): Listener {
  return { name, address, port, filterChains: [{ tcp: { statPrefix: "", cluster } }] };
}

/** A store and the time. Each answer takes a list of values; CDS and LDS answers are complete. */
export class Shelf {
  readonly store: XdsStore;
  nowMs = 0;

  constructor(options: { generation?: Generation; hosts?: readonly string[] } = {}) {
    this.store = createXdsStore({ generation: "v3", hosts: [], namespace: "default", ...options });
  }

  cds = (...values: Cluster[]) => this.take("CDS", values);
  eds = (...values: ClusterLoadAssignment[]) => this.take("EDS", values);
  lds = (...values: Listener[]) => this.take("LDS", values);
  rds = (...values: RouteConfiguration[]) => this.take("RDS", values);

  take(
    type: ResourceType,
    values: readonly (Cluster | ClusterLoadAssignment | Listener | RouteConfiguration)[],
    more: { removed?: string[]; complete?: boolean; refused?: string[] } = {},
  ): string[] {
    const resources = new Map(
      values.map((value) => ["clusterName" in value ? value.clusterName : value.name, value] as const),
    );
    const update = { resources, removed: [], complete: type === "CDS" || type === "LDS", ...more };
    return this.store.apply(type, update as never, this.nowMs).map(({ message }) => message);
  }

  get program(): Program {
    return this.store.program(this.nowMs);
  }

  get clusters(): string {
    return [...this.program.clusters.keys()].join();
  }

  /** `80: host>cluster host>cluster; 81: …` */
  get tables(): string {
    const lines = [...this.program.routeConfigurations].map(([name, { virtualHosts }]) =>
      `${name}:` +
      virtualHosts.map(({ domains, routes }) => ` ${domains[0]}>${routes[0]?.route?.cluster}`).join("")
    );
    return lines.join("; ");
  }

  get listeners(): string {
    return [...this.program.listeners?.keys() ?? []].join();
  }
}

/** A synced store: clusters a and b warm, table 80 leads host x to a. */
export function synced(): Shelf {
  const shelf = new Shelf();
  shelf.cds(eds("a"), eds("b"), fixed("PassthroughCluster"));
  shelf.eds(endpoints("a", "10.0.0.1"), endpoints("b", "10.0.0.2"));
  shelf.lds(http(80, "80"));
  shelf.rds(table("80", { x: "a" }), table("http_proxy", {}));
  return shelf;
}

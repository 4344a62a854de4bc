/** The v1 source before recorded answers, on a clock that is moved by hand. */
import { ManualClock } from "../../tests/harness/clock.ts";
import { OFFLINE_PORTS } from "../../tests/harness/discovery_ports.ts";
import { type RestPilot, startRestPilot } from "../../tests/harness/rest_pilot.ts";
import { configOf } from "../../tests/harness/world.ts";
import type { Log } from "../core/ports.ts";
import { createHttpClient } from "../net/http_client.ts";
import { viewOf } from "../route/view.ts";
import type { AgentConfig } from "../settings/types.ts";
import { start as startPlugin } from "./pilot.ts";
import type { DiscoverySource, TypeStatus } from "./types.ts";
import { createWorldHolder, type WorldHolder } from "./world.ts";

export const ISTIOSERVER = "istioserver.default.svc.cluster.local|http";
export const NODE = "sidecar~10.1.1.7~app-1.default~default.svc.cluster.local";
export const REGISTRATION = "/v1/registration";
export const LISTENERS = `/v1/listeners/*/${NODE}`;
export const CLUSTERS = `/v1/clusters/*/${NODE}`;
export const table = (name: string) => `/v1/routes/${name}/*/${NODE}`;
export const INTERVAL_MS = 30_000;

export interface Started extends AsyncDisposable {
  readonly source: DiscoverySource;
  readonly world: WorldHolder;
  readonly clock: ManualClock;
  readonly logged: string[];
  /** One more poll. */
  poll(): Promise<void>;
  type(name: string): TypeStatus;
  /** Cluster of a GET, or the kind of another decision. */
  decide(url: string, random?: number, headers?: Record<string, string>): string;
}

export function settingsOf(
  pilots: readonly RestPilot[],
  more: Partial<AgentConfig["discovery"]> = {},
): AgentConfig {
  const config = configOf();
  const addresses = pilots.map(({ port }) => ({
    text: `http://127.0.0.1:${port}`,
    scheme: "http" as const,
    host: "127.0.0.1",
    port,
  }));
  return {
    ...config,
    workload: { ...config.workload, podName: "app-1", namespace: "default", instanceIp: "10.1.1.7" },
    serviceDiscovery: { type: "pilot", address: "", refreshIntervalMs: INTERVAL_MS },
    discovery: { ...config.discovery, addresses, routerAddresses: addresses, ...more },
    router: { infra: "pilot", address: "" },
  };
}

export async function start(
  pilots: readonly RestPilot[],
  { more = {}, rng = () => 0.5 }: {
    readonly more?: Partial<AgentConfig["discovery"]>;
    readonly rng?: () => number;
  } = {},
): Promise<Started> {
  const clock = new ManualClock(1_000_000);
  const world = createWorldHolder(clock);
  const logged: string[] = [];
  const log: Log = { level: "info", log: (level, message) => void logged.push(`${level} ${message}`) };
  const source = startPlugin({
    ...OFFLINE_PORTS,
    config: settingsOf(pilots, more),
    clock,
    log,
    openDirectory: () => {
      throw new Error("no files");
    },
    publish: (publication) => world.publish(publication),
    openHttpClient: () => Promise.resolve(createHttpClient()),
    rng,
  });
  await source.ready;
  return {
    source,
    world,
    clock,
    logged,
    poll: () => source.refresh(),
    type: (name) => source.status()[0]?.types.find((t) => t.type === name) as TypeStatus,
    decide(url, random = 0, headers = {}) {
      const decision = world.current.tables.select(
        viewOf({ method: "GET", url, headers: Object.entries(headers) }),
        random,
      );
      return decision.kind === "route" ? decision.destination.cluster : decision.kind;
    },
    [Symbol.asyncDispose]: () => source.close(),
  };
}

export async function playing(...folders: readonly string[]): Promise<RestPilot> {
  const pilot = startRestPilot();
  for (const folder of folders) await pilot.play(folder);
  return pilot;
}

export const codes = (source: DiscoverySource) => source.problems().map((p) => p.code);
export const endpointsOf = (world: WorldHolder, key: string) =>
  world.current.program.loadAssignments.get(key)?.endpoints.flatMap((e) =>
    e.lbEndpoints.map((l) => `${l.address}:${l.port}`)
  );

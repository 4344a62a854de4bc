/** An xDS source between a control plane in memory and a world in memory, on a clock that the test moves. */
import assert from "node:assert/strict";
import {
  type AdsCall,
  AdsPeer,
  assignmentOf,
  clusterOf,
  listenerOf,
  settled,
  tableOf,
} from "../../tests/harness/ads_peer.ts";
import { ManualClock } from "../../tests/harness/clock.ts";
import { OFFLINE_PORTS } from "../../tests/harness/discovery_ports.ts";
import { configOf } from "../../tests/harness/world.ts";
import type { ControlPlaneAddress } from "../settings/types.ts";
import type { Generation } from "../xds/types.ts";
import { type AdsOptions, startAds } from "./ads.ts";
import type { DiscoveryInput, DiscoverySource, Publication, SourceStatus, TypeStatus } from "./types.ts";

export const A = "outbound|80||a.test";
export const B = "outbound|80||b.test";

export function addressOf(text: string): ControlPlaneAddress {
  const [, scheme, host, port] = /^(grpcs?):\/\/(.*):(\d+)$/.exec(text) as unknown as string[];
  return { text, scheme: scheme as "grpc", host: host as string, port: Number(port) };
}

export interface AdsRig {
  readonly clock: ManualClock;
  readonly peer: AdsPeer;
  readonly source: DiscoverySource;
  readonly publications: Publication[];
  readonly logs: string[];
  /** Value of the next random numbers. */
  random: number;
  /** Turns given away. */
  turns: number;
  status(): SourceStatus;
  type(type: string): TypeStatus;
  codes(): string[];
  /** Moves the clock and lets everything run. */
  pass(ms: number): Promise<void>;
  readonly last: Publication;
}

export interface AdsRigOptions {
  readonly generation?: Generation;
  readonly addresses?: readonly string[];
  readonly delta?: boolean;
  readonly accepting?: boolean;
  readonly config?: Partial<ReturnType<typeof configOf>["discovery"]>;
  readonly publish?: DiscoveryInput["publish"];
  readonly openTransport?: DiscoveryInput["openTransport"];
  readonly openCodec?: AdsOptions["openCodec"];
}

/** Runs a test against a source; at the end nothing may be left: no timer, no open call. */
export async function withAds(options: AdsRigOptions, test: (rig: AdsRig) => Promise<void>): Promise<void> {
  const clock = new ManualClock(1_000_000);
  const generation = options.generation ?? "v3";
  const peer = new AdsPeer(generation);
  peer.accepting = options.accepting ?? true;
  const publications: Publication[] = [];
  const logs: string[] = [];
  const base = configOf();
  const addresses = (options.addresses ?? ["grpc://one.test:15010"]).map(addressOf);
  const discovery = { ...base.discovery, delta: options.delta ?? false, addresses, ...options.config };
  const input: DiscoveryInput = {
    ...OFFLINE_PORTS,
    config: { ...base, serviceDiscovery: { ...base.serviceDiscovery, type: "pilotv3" }, discovery },
    clock,
    log: {
      level: "debug",
      log: (level, message) => void logs.push(`${level} ${message}`),
    },
    openDirectory: () => assert.fail("no files here"),
    publish: options.publish ?? ((publication) => void publications.push(publication)),
    openTransport: options.openTransport ?? peer.openTransport,
    rng: () => rig.random,
    yieldTurn: async () => {
      rig.turns++;
      for (let i = 0; i < 10; i++) await Promise.resolve();
    },
  };
  const source = startAds(input, {
    generation,
    name: "test",
    addresses,
    openCodec: options.openCodec ?? peer.openCodec,
  });
  const rig: AdsRig = {
    clock,
    peer,
    source,
    publications,
    logs,
    random: 0.5,
    turns: 0,
    status: () => source.status()[0] as SourceStatus,
    type: (type) => rig.status().types.find((t) => t.type === type) as TypeStatus,
    codes: () => source.problems().map(({ code }) => code),
    async pass(ms) {
      clock.advance(ms);
      await settled();
    },
    get last() {
      return publications.at(-1) as Publication;
    },
  };
  await settled();
  try {
    await test(rig);
  } finally {
    await source.close();
    await settled();
    assert.equal(clock.pending, 0, "timers are left");
    assert.deepEqual(peer.calls.filter((call) => call.open), [], "calls are left");
  }
}

/** Answers all four types: one host `a.test` on port 80. */
export async function syncWith(call: AdsCall, ...endpointPorts: readonly number[]): Promise<void> {
  call.answer("CDS", [clusterOf(A)]);
  await settled();
  call.answer("EDS", [assignmentOf(A, ...(endpointPorts.length === 0 ? [1] : endpointPorts))]);
  await settled();
  call.answer("LDS", [listenerOf(80)]);
  await settled();
  call.answer("RDS", [tableOf(80, "a.test", A)]);
  await settled();
}

/**
 * The road through a control plane: the agent's own xDS source asks, and is given what was recorded.
 *
 * In: a scenario. Out: the program that the source published, after each step of the recording.
 */
import assert from "node:assert/strict";
import { startAds } from "../../../agent/discovery/ads.ts";
import type { Program } from "../../../agent/model/model.ts";
import { createCodec } from "../../../agent/xds/codec.ts";
import { settled } from "../../harness/ads_peer.ts";
import { ManualClock } from "../../harness/clock.ts";
import { OFFLINE_PORTS } from "../../harness/discovery_ports.ts";
import { readRecording, RecordedPlane } from "../../harness/recorded_plane.ts";
import { configOf } from "../../harness/world.ts";
import type { Scenario } from "./rules.ts";

/** After this nothing removed stays because tables may follow, ms (v2: 10 s). */
const LINGER_MS = 11_000;

// Loaded once, not while a source waits for it.
const codec = createCodec();

/** Tells of each step's program; the first step is `start`. No answer may be refused. */
export async function replay(
  scenario: Scenario,
  each: (step: string, program: Program) => void,
): Promise<void> {
  const recording = readRecording(scenario.path, scenario.also);
  const plane = new RecordedPlane(recording);
  const clock = new ManualClock(1_000_000);
  const address = {
    text: "grpc://pilot.test:15010",
    scheme: "grpc",
    host: "pilot.test",
    port: 15010,
  } as const;
  const base = configOf();
  let program: Program | undefined;
  const source = startAds({
    ...OFFLINE_PORTS,
    config: {
      ...base,
      workload: { ...base.workload, podName: "app-1", instanceIp: "10.1.1.7", labels: scenario.labels },
      discovery: { ...base.discovery, addresses: [address], delta: recording.delta },
    },
    clock,
    log: { level: "error", log: () => {} },
    openDirectory: () => assert.fail("no files on this road"),
    publish: (publication) => void (program = publication.program),
    openTransport: plane.openTransport,
  }, {
    generation: recording.generation,
    name: "recorded",
    addresses: [address],
    openCodec: () => Promise.resolve(codec),
  });
  try {
    await plane.opened();
    for (const step of recording.steps) {
      await plane.play(step);
      clock.advance(LINGER_MS);
      await settled();
      const { step: at, types } = source.status()[0] ?? assert.fail("no connection");
      assert.equal(at, "synced", `${scenario.path} ${step}: ${JSON.stringify(types)}`);
      assert.deepEqual(types.flatMap(({ lastNack }) => lastNack ?? []), [], `${scenario.path} ${step}`);
      each(step, program ?? assert.fail("nothing was published"));
    }
  } finally {
    await source.close();
    await settled();
  }
}

/**
 * The road through a control plane: the agent's own xDS source asks, and is given what was recorded.
 *
 * In: a scenario. Out: the program that the source published. Each recorded answer is given once, when a request asks for its type and
 * for one of its names.
 */
import assert from "node:assert/strict";
import type { MessageStream } from "../../../agent/core/ports.ts";
import { startAds } from "../../../agent/discovery/ads.ts";
import type { Publication } from "../../../agent/discovery/types.ts";
import type { Program } from "../../../agent/model/model.ts";
import type { Request, XdsCodec } from "../../../agent/xds/types.ts";
import { settled } from "../../harness/ads_peer.ts";
import { ManualClock } from "../../harness/clock.ts";
import { OFFLINE_PORTS } from "../../harness/discovery_ports.ts";
import { configOf } from "../../harness/world.ts";
import { answersOf, generationOf, isDelta, type RecordedAnswer, type Scenario } from "./recording.ts";

/** Pilot 0.8.0 calls the table `http_proxy` so. */
const HTTP_PROXY_OF_0_8 = "0";
const ROUNDS = 200;

export async function replay(scenario: Scenario, codec: XdsCodec): Promise<Program> {
  const generation = generationOf(scenario);
  const address = {
    text: "grpc://pilot.test:15010",
    scheme: "grpc",
    host: "pilot.test",
    port: 15010,
  } as const;
  const base = configOf();
  const tape = new Tape(answersOf(scenario, codec));
  const published: Publication[] = [];
  const source = startAds({
    ...OFFLINE_PORTS,
    config: {
      ...base,
      workload: { ...base.workload, podName: "app-1", instanceIp: "10.1.1.7", labels: scenario.labels },
      discovery: { ...base.discovery, addresses: [address], delta: isDelta(scenario) },
    },
    clock: new ManualClock(1_000_000),
    log: { level: "error", log: () => {} },
    openDirectory: () => assert.fail("no files on this road"),
    publish: (publication) => void published.push(publication),
    openTransport: () => Promise.resolve({ open: () => Promise.resolve(tape) }),
  }, {
    generation,
    name: "recorded",
    addresses: [address],
    openCodec: () => Promise.resolve(tape.reading(codec)),
  });
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await settled();
      if (source.status()[0]?.step === "synced") break;
    }
    const { step, types, reason } = source.status()[0] ?? assert.fail("no connection");
    assert.equal(step, "synced", `${scenario.path}: ${reason ?? JSON.stringify(types)}`);
    assert.deepEqual(types.flatMap(({ lastNack }) => lastNack ?? []), [], scenario.path);
    return (published.at(-1) ?? assert.fail("nothing was published")).program;
  } finally {
    await source.close();
    await settled();
  }
}

/** The other end of the stream. */
class Tape implements MessageStream {
  readonly #left: RecordedAnswer[];
  readonly #queue: Uint8Array[] = [];
  readonly #requests = new WeakMap<Uint8Array, Request>();
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(answers: readonly RecordedAnswer[]) {
    this.#left = [...answers];
  }

  /** The codec, with requests noted that are made by it. */
  reading(codec: XdsCodec): XdsCodec {
    return {
      ...codec,
      encodeRequest: (generation, request, node) => {
        const bytes = codec.encodeRequest(generation, request, node);
        this.#requests.set(bytes, request);
        return bytes;
      },
    };
  }

  send(message: Uint8Array): void {
    const request = this.#requests.get(message) ?? assert.fail("not a request of this codec");
    const names = new Set(request.kind === "delta" ? request.subscribe : request.names);
    for (const answer of [...this.#left]) {
      if (answer.type !== request.type) continue;
      const wanted = answer.type === "CDS" || answer.type === "LDS" ||
        answer.names.some((name) =>
          names.has(name) || (name === HTTP_PROXY_OF_0_8 && names.has("http_proxy"))
        );
      if (!wanted) continue;
      this.#left.splice(this.#left.indexOf(answer), 1);
      this.#queue.push(answer.bytes);
    }
    this.#wake?.();
  }

  readonly messages = this.#deliver();

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  async *#deliver(): AsyncGenerator<Uint8Array> {
    while (!this.#closed) {
      const message = this.#queue.shift();
      if (message !== undefined) yield message;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

import assert from "node:assert/strict";
import { settled } from "../../tests/harness/ads_peer.ts";
import { ManualClock } from "../../tests/harness/clock.ts";
import { OFFLINE_PORTS } from "../../tests/harness/discovery_ports.ts";
import { configOf, worldOf } from "../../tests/harness/world.ts";
import { MeshError } from "../core/errors.ts";
import type { Program } from "../model/model.ts";
import { GRACE_MS, KEEP_AFTER_MS, remembered, REST_FACTOR, RETRY_MS, type WorldCache } from "./remember.ts";
import type { DiscoverySource, Publication } from "./types.ts";

const NOW_MS = Date.parse("2026-01-02T03:04:05Z");
const A = worldOf([1001]).program;
const B = worldOf([1002, 1003]).program;

/** In memory. */
class MemoryCache implements WorldCache {
  readonly path = "/cache/world.cache";
  bytes: Uint8Array | null = null;
  written = 0;
  failure: MeshError | undefined;
  /** Each writing takes so long by the clock. */
  costMs = 0;
  clock: ManualClock | undefined;
  read = (): Promise<Uint8Array | null> =>
    this.failure?.code === "D240" ? Promise.reject(this.failure) : Promise.resolve(this.bytes);
  async write(lines: Iterable<string>): Promise<void> {
    await Promise.resolve();
    this.clock?.advance(this.costMs);
    if (this.failure !== undefined) throw this.failure;
    this.bytes = new TextEncoder().encode([...lines].join(""));
    this.written++;
  }
}

interface Rig {
  readonly source: DiscoverySource;
  readonly clock: ManualClock;
  readonly publications: Publication[];
  readonly logs: string[];
  ready: boolean;
  /** The control plane says this. */
  say(program: Program): void;
  /** The control plane's first try is over. */
  tried(): void;
  pass(ms: number): Promise<void>;
}

async function withSource(
  cache: MemoryCache,
  test: (rig: Rig) => Promise<void> | void,
  { type = "pilotv3" as const, node = "10.0.0.1", refuse = false, onTurn }: {
    type?: "pilotv3";
    node?: string;
    refuse?: boolean;
    /** Everything takes long, and others have their turns in between. */
    onTurn?: (say: Rig["say"]) => void;
  } = {},
): Promise<void> {
  const clock = new ManualClock(NOW_MS);
  if (onTurn !== undefined) {
    let ms = 0;
    clock.monotonic = () => ms += 5;
  }
  cache.clock = clock;
  const base = configOf();
  const publications: Publication[] = [];
  const logs: string[] = [];
  let say: Rig["say"] = () => {};
  const { promise: ready, resolve: tried } = Promise.withResolvers<void>();
  const source = remembered({
    ...OFFLINE_PORTS,
    config: {
      ...base,
      serviceDiscovery: { ...base.serviceDiscovery, type },
      router: { infra: type, address: "" },
      workload: { ...base.workload, podName: "a", instanceIp: node },
    },
    clock,
    log: { level: "debug", log: (level, message) => void logs.push(`${level} ${message}`) },
    openDirectory: () => assert.fail("no files here"),
    yieldTurn: () => Promise.resolve(onTurn?.(say)),
    publish(publication) {
      if (refuse) throw new Error("no table can be made of it");
      publications.push(publication);
    },
  }, (input) => {
    say = (program) => input.publish({ program, diagnostics: [], stats: {} });
    return {
      ready,
      problems: () => [],
      status: () => [],
      refresh: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }, cache);
  const rig: Rig = {
    source,
    clock,
    publications,
    logs,
    ready: false,
    say: (program) => say(program),
    tried,
    async pass(ms) {
      clock.advance(ms);
      await settled();
    },
  };
  source.ready.then(() => rig.ready = true);
  await settled();
  try {
    await test(rig);
  } finally {
    await source.close();
    assert.equal(clock.pending, 0, "timers are left");
  }
}

/** A cache that holds a world. */
async function holding(program: Program): Promise<MemoryCache> {
  const cache = new MemoryCache();
  await withSource(cache, ({ say }) => say(program));
  return cache;
}

Deno.test("remember: without a cache the agent waits for its control plane, whose world is kept a moment after it changed", async () => {
  const cache = new MemoryCache();
  await withSource(cache, async (rig) => {
    assert.equal(rig.ready, false);
    rig.tried();
    await rig.pass(0);
    assert.equal(rig.ready, true);
    rig.say(A);
    rig.say(B);
    await rig.pass(KEEP_AFTER_MS - 1);
    assert.equal(cache.written, 0);
    await rig.pass(1);
    assert.equal(cache.written, 1);
    rig.say(B);
    await rig.pass(10 * KEEP_AFTER_MS);
    assert.equal(cache.written, 1, "what did not change is not written again");
  });
  await withSource(cache, ({ publications }) => assert.deepEqual(publications[0]?.program, B));
});

Deno.test("remember: writing takes at most a hundredth of the time", async () => {
  const cache = new MemoryCache();
  cache.costMs = 50;
  await withSource(cache, async (rig) => {
    rig.say(A);
    await rig.pass(KEEP_AFTER_MS);
    assert.equal(cache.written, 1);
    rig.say(B);
    await rig.pass(REST_FACTOR * 50 - 1);
    assert.equal(cache.written, 1);
    await rig.pass(1);
    assert.equal(cache.written, 2);
  });
});

Deno.test("remember: what is new when the agent ends is kept", async () => {
  const cache = new MemoryCache();
  await withSource(cache, async (rig) => {
    rig.say(A);
    await rig.pass(KEEP_AFTER_MS);
    rig.say(B);
  });
  assert.equal(cache.written, 2);
  await withSource(cache, ({ publications }) => assert.deepEqual(publications[0]?.program, B));
});

Deno.test("remember: a cache decides at once, says its age, and goes when the control plane speaks", async () => {
  const cache = await holding(A);
  await withSource(cache, async (rig) => {
    assert.equal(rig.ready, true, "no word of the control plane is waited for");
    assert.deepEqual(rig.publications.map(({ program, cachedMs }) => ({ program, cachedMs })), [
      { program: A, cachedMs: NOW_MS },
    ]);
    const told =
      "Rules are those of the cache, kept at 2026-01-02T03:04:05.000Z: no control plane has answered yet";
    assert.deepEqual(rig.source.problems().map(({ code, message }) => [code, message]), [["D242", told]]);
    const warned = () =>
      rig.logs.filter((line) => line.startsWith("warn ") && line.includes("[D242]")).length;
    await rig.pass(GRACE_MS - 1);
    assert.equal(warned(), 0, "a control plane that is only slower than the cache is no matter of a warning");
    await rig.pass(60_000);
    assert.equal(warned(), 1);
    assert.equal(cache.written, 1, "it is not kept as its own successor");
    rig.say(B);
    assert.equal(rig.publications[1]?.program, B);
    assert.equal(rig.publications[1]?.cachedMs, undefined);
    assert.deepEqual(rig.source.problems(), []);
    assert.ok(rig.logs.includes("info the control plane answered: its rules replace the cache"));
  });
});

Deno.test("remember: a control plane that answers soon is no matter of a warning", async () => {
  await withSource(await holding(A), async (rig) => {
    await rig.pass(500);
    rig.say(B);
    await rig.pass(10 * GRACE_MS);
    assert.deepEqual(rig.logs.filter((line) => line.startsWith("warn ")), []);
  });
});

Deno.test("remember: a control plane that is faster than the cache is not undone by it", async () => {
  const cache = await holding(A);
  const { promise, resolve } = Promise.withResolvers<Uint8Array | null>();
  const { bytes } = cache;
  cache.read = () => promise;
  await withSource(cache, async (rig) => {
    rig.say(B);
    resolve(bytes);
    rig.tried();
    await settled();
    assert.equal(rig.ready, true);
    assert.deepEqual(rig.publications.map(({ program }) => program), [B]);
    assert.deepEqual(rig.source.problems(), []);
  });
});

Deno.test("remember: nor one that speaks while the cache is being read", async () => {
  const cache = await holding(A);
  let turns = 0;
  await withSource(cache, async (rig) => {
    await settled();
    assert.ok(turns > 3, "it is read in slices");
    assert.deepEqual(rig.publications.map(({ program }) => program), [B]);
    assert.deepEqual(rig.source.problems(), []);
  }, { onTurn: (say) => void (++turns === 2 && say(B)) });
});

Deno.test("remember: the cache of another agent, workload or control plane is passed over with a line", async () => {
  const edit = (change: (header: Record<string, unknown>) => void) => (bytes: Uint8Array) => {
    const [first, ...rest] = new TextDecoder().decode(bytes).split("\n") as [string, ...string[]];
    const header = JSON.parse(first);
    change(header);
    return new TextEncoder().encode([JSON.stringify(header), ...rest].join("\n"));
  };
  const same = (bytes: Uint8Array) => bytes;
  const rows: [string, (bytes: Uint8Array) => Uint8Array, Parameters<typeof withSource>[2], string][] = [
    ["format", edit((h) => h["format"] = 99), {}, "it is of format 99, this agent has 1"],
    ["version", edit((h) => h["agent"] = "0.0.1"), {}, "version 0.0.1 of the agent kept it, this is 0.1.0"],
    [
      "node",
      same,
      { node: "10.0.0.2" },
      'it is of node "sidecar~10.0.0.1~a.default~default.svc.cluster.local", this agent has "sidecar~10.0.0.2~a.default~default.svc.cluster.local"',
    ],
    [
      "type",
      edit((h) => h["type"] = "pilotv2"),
      {},
      'it is of serviceDiscovery.type "pilotv2", this agent has "pilotv3"',
    ],
    ["rules", edit((h) => h["infra"] = "x"), {}, 'it is of router.infra "x", this agent has "pilotv3"'],
    [
      "cluster",
      edit((h) => h["clusterId"] = "other"),
      {},
      'it is of discovery.clusterId "other", this agent has "Kubernetes"',
    ],
  ];
  for (const [name, damage, options, state] of rows) {
    const cache = await holding(A);
    cache.bytes = damage(cache.bytes!);
    await withSource(cache, async (rig) => {
      assert.deepEqual(rig.publications, [], name);
      assert.deepEqual(rig.source.problems().map(({ code, message }) => [code, message]), [[
        "D240",
        `Cannot use the cache "/cache/world.cache": ${state}; want one of this agent`,
      ]]);
      assert.equal(rig.logs.filter((line) => line.startsWith("warn ") && line.includes("[D240]")).length, 1);
      assert.equal(rig.ready, false);
      // The agent works on, and replaces it.
      rig.say(B);
      await rig.pass(KEEP_AFTER_MS);
      assert.equal(cache.written, 2, name);
    }, options);
  }
});

Deno.test("remember: lines that are none of a world are passed over, whole lines missing, too", async () => {
  const cache = await holding(B);
  const whole = new TextDecoder().decode(cache.bytes!).trimEnd().split("\n");
  const bad: Record<string, string[]> = {
    "no line": [],
    "only the header": whole.slice(0, 1),
    "no end": whole.slice(0, -1),
    "a line less": whole.toSpliced(2, 1),
    "a line more": whole.toSpliced(2, 0, whole[2]!),
    "no JSON": whole.toSpliced(1, 1, "{"),
    "a number": whole.toSpliced(1, 1, "7"),
    "null": ["null"],
    "a host without its table": whole.toSpliced(1, 1, '["host","nowhere",{}]'),
    "an unknown kind": whole.toSpliced(1, 1, '["secret","x",{}]'),
  };
  for (const [name, lines] of Object.entries(bad)) {
    cache.bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
    await withSource(cache, ({ publications, source }) => {
      assert.deepEqual(publications, [], name);
      assert.match(source.problems()[0]!.message, /it has a line that is none of a world \(/, name);
    });
  }
  cache.bytes = Uint8Array.of(0xff, 0xfe, 0x0a);
  await withSource(cache, ({ publications }) => assert.deepEqual(publications, []));
});

Deno.test("remember: a world that cannot be put in force is passed over", async () => {
  const cache = await holding(A);
  await withSource(cache, ({ source, ready }) => {
    assert.equal(ready, false);
    assert.match(source.problems()[0]!.message, /Cannot use the cache .*no table can be made of it/);
  }, { refuse: true });
});

Deno.test("remember: a cache that cannot be written is one line and one finding, and is tried again", async () => {
  const cache = new MemoryCache();
  cache.failure = new MeshError("D241", 'Cannot keep the rules in "/cache/world.cache": the disk is full');
  await withSource(cache, async (rig) => {
    rig.say(A);
    await rig.pass(KEEP_AFTER_MS);
    assert.deepEqual(rig.source.problems().map(({ code }) => code), ["D241"]);
    await rig.pass(RETRY_MS);
    await rig.pass(RETRY_MS);
    assert.equal(rig.logs.filter((line) => line.includes("[D241]")).length, 1);
    assert.equal(rig.publications.length, 1, "the agent works on");
    cache.failure = undefined;
    await rig.pass(RETRY_MS);
    assert.equal(cache.written, 1);
    assert.deepEqual(rig.source.problems(), []);
  });
});

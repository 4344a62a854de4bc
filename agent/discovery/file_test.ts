import assert from "node:assert/strict";
import { ManualClock } from "../../tests/harness/clock.ts";
import { OFFLINE_PORTS } from "../../tests/harness/discovery_ports.ts";
import { istioserver } from "../../tests/harness/conf.ts";
import { configOf } from "../../tests/harness/world.ts";
import type { Log } from "../core/ports.ts";
import { viewOf } from "../route/view.ts";
import { CEILING_MS, QUIET_MS, start as startPlugin } from "./file.ts";
import type { DirectoryReading, DiscoverySource, RulesDirectory } from "./types.ts";
import { createWorldHolder, type WorldHolder } from "./world.ts";

const RULES = istioserver({ v1: 8081, v2: 8082 }, { v1: 50, v2: 50 });

/** A directory in memory whose events are sent by hand. */
class FakeDirectory implements RulesDirectory {
  readonly label = "rules";
  files: Map<string, string> | null;
  unreadable = new Map<string, string>();
  reads: (readonly string[] | undefined)[] = [];
  changed: (files?: readonly string[]) => void = () => {};
  watched = 0;

  constructor(files: Record<string, string> | null) {
    this.files = files === null ? null : new Map(Object.entries(files));
  }

  read(only?: ReadonlySet<string>): Promise<DirectoryReading | null> {
    this.reads.push(only === undefined ? undefined : [...only].sort());
    if (this.files === null) return Promise.resolve(null);
    const files = only === undefined
      ? new Map<string, string | null>(this.files)
      : new Map([...only].map((name) => [name, this.files?.get(name) ?? null]));
    return Promise.resolve({ files, complete: only === undefined, unreadable: new Map(this.unreadable) });
  }

  watch(changed: (files?: readonly string[]) => void): () => void {
    this.changed = changed;
    this.watched++;
    return () => this.watched--;
  }

  /** Writes and tells. */
  write(name: string, text: string): void {
    (this.files ??= new Map()).set(name, text);
    this.changed([name]);
  }
}

interface Started {
  readonly source: DiscoverySource;
  readonly world: WorldHolder;
  readonly clock: ManualClock;
  readonly logged: string[];
}

async function startSource(directory: FakeDirectory, refreshIntervalMs = 0): Promise<Started> {
  const clock = new ManualClock();
  const world = createWorldHolder(clock);
  const logged: string[] = [];
  const log: Log = { level: "debug", log: (_, message) => logged.push(message) };
  const config = configOf();
  const source = startPlugin({
    ...OFFLINE_PORTS,
    config: { ...config, serviceDiscovery: { ...config.serviceDiscovery, refreshIntervalMs } },
    clock,
    log,
    openDirectory: () => directory,
    publish: (publication) => world.publish(publication),
  });
  await source.ready;
  return { source, world, clock, logged };
}

const settled = async () => {
  for (let i = 0; i < 30; i++) await Promise.resolve();
};

const weightsOf = ({ world }: Started): number[] => {
  const { tables } = world.current;
  const decision = tables.select(viewOf({ method: "GET", url: "http://istioserver:8084/" }), 0);
  return decision.kind === "route" ? decision.route.destinations.map((d) => d.weight) : [];
};

Deno.test("file source: the first reading is published; a change after 50 ms of quiet", async () => {
  const directory = new FakeDirectory({ "rules/a.yaml": RULES });
  const started = await startSource(directory);
  const { world, clock, source } = started;
  assert.equal(world.current.revision, 1);
  assert.deepEqual(weightsOf(started), [50, 50]);
  directory.write("rules/a.yaml", RULES.replaceAll("weight: 50", "weight: 10"));
  clock.advance(QUIET_MS - 1);
  await settled();
  assert.equal(world.current.revision, 1);
  clock.advance(1);
  await settled();
  assert.equal(world.current.revision, 2);
  assert.deepEqual(weightsOf(started), [10, 10]);
  assert.deepEqual(directory.reads, [undefined, ["rules/a.yaml"]]);
  assert.equal(world.current.stats["parsed"], 1, "only the document that changed");
  await source.close();
  assert.deepEqual([directory.watched, clock.pending], [0, 0]);
});

Deno.test("file source: changes without a pause are taken up at the ceiling of 500 ms", async () => {
  const directory = new FakeDirectory({ "rules/a.yaml": RULES });
  const { world, clock, source } = await startSource(directory);
  let ms = 0;
  for (; ms < CEILING_MS - 40; ms += 40) {
    directory.write("rules/a.yaml", RULES.replace("weight: 50", `weight: ${ms}`));
    clock.advance(40);
    await settled();
    assert.equal(world.current.revision, 1, `${ms} ms`);
  }
  directory.write("rules/a.yaml", RULES);
  directory.write("rules/b.yaml", RULES.replaceAll("istioserver", "other"));
  clock.advance(CEILING_MS - ms);
  await settled();
  assert.equal(world.current.revision, 2);
  assert.deepEqual(directory.reads.at(-1), ["rules/a.yaml", "rules/b.yaml"]);
  await source.close();
});

Deno.test("file source: a bad document keeps its last good version in force and is reported", async () => {
  const directory = new FakeDirectory({ "rules/a.yaml": RULES });
  const started = await startSource(directory);
  directory.write("rules/a.yaml", RULES.replace("weight: 50", "weight: -1"));
  started.clock.advance(QUIET_MS);
  await settled();
  assert.equal(started.world.current.revision, 2);
  assert.deepEqual(weightsOf(started), [50, 50]);
  const codes = started.source.problems().map((d) => `${d.severity} ${d.code}`);
  assert.ok(codes.includes("warning D104"), codes.join());
  assert.ok(codes.some((c) => c.startsWith("error R1")), codes.join());
  await started.source.close();
});

Deno.test("file source: two files that define one object are an error naming both", async () => {
  const directory = new FakeDirectory({ "rules/a.yaml": RULES, "rules/b.yaml": RULES });
  const { source } = await startSource(directory);
  const twice = source.problems().filter((d) => d.code === "R401");
  assert.equal(twice.length, 3, "service, policy, rule");
  assert.ok(twice.every((d) => d.severity === "error" && /rules\/a\.yaml.*rules\/b\.yaml/.test(d.message)));
  await source.close();
});

Deno.test("file source: no directory yet is told once, is not ready, and is taken up when it comes", async () => {
  const directory = new FakeDirectory(null);
  const { world, clock, source, logged } = await startSource(directory, 1000);
  assert.equal(world.current.revision, 0);
  assert.deepEqual(source.problems().map((d) => d.code), ["D101"]);
  clock.advance(1000 + QUIET_MS);
  await settled();
  assert.equal(logged.length, 1, logged.join("\n"));
  directory.files = new Map([["rules/a.yaml", RULES]]);
  clock.advance(1000);
  await settled();
  assert.equal(world.current.revision, 1);
  assert.deepEqual(source.problems(), []);
  await source.close();
});

Deno.test("file source: a directory that is gone keeps everything; an empty one is empty, with a warning", async () => {
  const directory = new FakeDirectory({ "rules/a.yaml": RULES });
  const started = await startSource(directory);
  const { world, clock, source } = started;
  directory.files = null;
  directory.changed();
  clock.advance(QUIET_MS);
  await settled();
  assert.equal(world.current.revision, 1);
  assert.deepEqual(weightsOf(started), [50, 50]);
  assert.deepEqual(source.problems().map((d) => d.code), ["D107"]);
  directory.files = new Map();
  directory.changed();
  clock.advance(QUIET_MS);
  await settled();
  assert.equal(world.current.revision, 2);
  assert.deepEqual(weightsOf(started), []);
  assert.deepEqual(source.problems().map((d) => d.code), ["D102"]);
  await source.close();
});

Deno.test("file source: a file that cannot be read keeps its objects and is reported until it can", async () => {
  const directory = new FakeDirectory({ "rules/a.yaml": RULES });
  const started = await startSource(directory);
  directory.files = new Map();
  directory.unreadable.set("rules/a.yaml", "permission denied");
  await started.source.refresh();
  assert.deepEqual(weightsOf(started), [50, 50]);
  assert.deepEqual(started.source.problems().map((d) => d.code), ["D105"]);
  directory.unreadable.clear();
  directory.files = new Map([["rules/a.yaml", RULES]]);
  await started.source.refresh();
  assert.deepEqual(started.source.problems(), []);
  await started.source.close();
});

Deno.test("file source: at the start, files that cannot be read are no empty set of rules", async () => {
  const directory = new FakeDirectory({});
  directory.unreadable.set("rules", "permission denied");
  const { world, source, logged } = await startSource(directory);
  assert.equal(world.current.revision, 0);
  assert.deepEqual(source.problems().map((d) => d.code), ["D105"]);
  assert.equal(logged.length, 1);
  await source.close();
});

/** Makes the next reading wait; returns the function that lets it go. */
function holdRead(directory: FakeDirectory): () => void {
  const read = directory.read.bind(directory);
  let go = () => {};
  const held = new Promise<void>((resolve) => go = resolve);
  directory.read = async (only) => {
    directory.read = read;
    const reading = await read(only);
    await held;
    return reading;
  };
  return go;
}

Deno.test("file source: a change that settles during a reading is read after it", async () => {
  const directory = new FakeDirectory({ "rules/a.yaml": RULES });
  const started = await startSource(directory);
  const go = holdRead(directory);
  directory.write("rules/a.yaml", RULES.replaceAll("weight: 50", "weight: 10"));
  started.clock.advance(QUIET_MS);
  directory.write("rules/a.yaml", RULES.replaceAll("weight: 50", "weight: 20"));
  started.clock.advance(QUIET_MS);
  go();
  await settled();
  assert.deepEqual(weightsOf(started), [20, 20]);
  await started.source.close();
});

Deno.test("file source: closed during a reading, it publishes nothing any more", async () => {
  const directory = new FakeDirectory({ "rules/a.yaml": RULES });
  const { world, clock, source } = await startSource(directory);
  const go = holdRead(directory);
  directory.write("rules/a.yaml", RULES.replaceAll("weight: 50", "weight: 10"));
  clock.advance(QUIET_MS);
  const closed = source.close();
  go();
  await closed;
  assert.equal(world.current.revision, 1);
});

Deno.test("file source: a publication that fails is tried again by the next reading, and logged", async () => {
  const directory = new FakeDirectory({ "rules/a.yaml": RULES });
  const config = configOf();
  const logged: string[] = [];
  let tries = 0;
  const source = startPlugin({
    ...OFFLINE_PORTS,
    config: { ...config, serviceDiscovery: { ...config.serviceDiscovery, refreshIntervalMs: 0 } },
    clock: new ManualClock(),
    log: { level: "debug", log: (level, message) => logged.push(`${level} ${message}`) },
    openDirectory: () => directory,
    publish: () => {
      if (++tries === 2) throw new Error("no table");
    },
  });
  await source.ready;
  directory.files = new Map([["rules/a.yaml", RULES.replaceAll("weight: 50", "weight: 10")]]);
  await source.refresh();
  assert.deepEqual(logged, ['error Cannot take up the rules of "rules": Error: no table']);
  await source.refresh();
  await source.refresh();
  assert.equal(tries, 3);
  await source.close();
});

Deno.test("file source: rereading the same publishes nothing", async () => {
  const directory = new FakeDirectory({ "rules/a.yaml": RULES });
  const { world, source } = await startSource(directory);
  await source.refresh();
  assert.equal(world.current.revision, 1);
  await source.close();
});

Deno.test("file source: findings across very many documents follow the rules, once per run of changes", async () => {
  const many = Array.from(
    { length: 2100 },
    (_, i) =>
      `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d${i}}\nspec: {host: gone${i}}\n`,
  );
  const directory = new FakeDirectory({ "rules/a.yaml": RULES, "rules/many.yaml": many.join("---\n") });
  const started = await startSource(directory);
  const { world, clock, source } = started;
  const found = () => world.current.diagnostics.filter((d) => d.code === "R409").length;
  assert.deepEqual([world.current.revision, found()], [1, 0]);
  assert.deepEqual(weightsOf(started), [50, 50]);
  clock.advance(100);
  directory.write("rules/a.yaml", RULES.replaceAll("weight: 50", "weight: 10"));
  clock.advance(QUIET_MS);
  await settled();
  assert.deepEqual([world.current.revision, found(), ...weightsOf(started)], [2, 0, 10, 10]);
  const { program } = world.current;
  clock.advance(250);
  assert.deepEqual([world.current.revision, found()], [3, 2100]);
  assert.equal(world.current.program, program);
  clock.advance(10_000);
  assert.equal(world.current.revision, 3);
  await source.close();
  assert.deepEqual([directory.watched, clock.pending], [0, 0]);
});

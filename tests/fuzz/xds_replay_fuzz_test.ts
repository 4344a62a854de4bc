/**
 * Recorded streams, damaged on the way: messages cut, bits flipped in the envelope and in resources, twice, out of order, lost, streams
 * that break, types unknown or wrong, resources empty. Whatever comes, the source goes on, the world keeps what no well-formed answer
 * took away, each answer has one verdict that names what is wrong, status and problems say so, and a good push mends everything.
 * Seeded; a failure prints the seed and the smallest case.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Diagnostic } from "../../agent/core/diagnostics.ts";
import { startAds } from "../../agent/discovery/ads.ts";
import type { DiscoverySource } from "../../agent/discovery/types.ts";
import { createWorldHolder, type WorldHolder } from "../../agent/discovery/world.ts";
import type { Program } from "../../agent/model/model.ts";
import { createCodec } from "../../agent/xds/codec.ts";
import { type ResourceType, typeOfUrl, typeUrlOf } from "../../agent/xds/types.ts";
import { settled } from "../harness/ads_peer.ts";
import { ManualClock } from "../harness/clock.ts";
import { OFFLINE_PORTS } from "../harness/discovery_ports.ts";
import {
  headOf,
  readRecording,
  type RecordedAnswer,
  type RecordedCall,
  RecordedPlane,
  type Recording,
  type ResponseHead,
} from "../harness/recorded_plane.ts";
import { configOf } from "../harness/world.ts";
import { type Event, eventsOf, type Hurt, hurt } from "./damaged_recording.ts";
import { Truth } from "./recorded_truth.ts";

const SEED = 20261124;
/** Longer than any wait of the store, the session or the backoff. */
const EVERYTHING_MS = 130_000;
const codec = createCodec();

const ADDRESS = { text: "grpc://pilot.test:15010", scheme: "grpc", host: "pilot.test", port: 15010 } as const;
const KINDS = /^(Cluster|ClusterLoadAssignment|Listener|RouteConfiguration)\b/;

interface Delivered {
  readonly head: ResponseHead | undefined;
  readonly type: ResourceType | undefined;
  readonly original: RecordedAnswer;
  readonly hurt: boolean;
}

/** A source, the damaged control plane before it, and what must hold between any two messages. */
class Run {
  readonly clock = new ManualClock(1_000_000);
  readonly world: WorldHolder = createWorldHolder(this.clock);
  readonly plane: RecordedPlane;
  readonly truth: Truth;
  readonly source: DiscoverySource;
  /** Clusters that a well-formed answer took away, and not given again. */
  readonly #clustersGone = new Set<string>();
  /** Names of the newest well-formed LDS answer, unless a listener in it was hurt: then its tables may be others. */
  #listeners: readonly string[] | undefined = [];
  /** Error of the newest answer of a type; undefined = accepted. */
  readonly #verdicts = new Map<ResourceType, string | undefined>();
  /** How often each nonce came on this stream, by type. */
  #expected = new Map<ResourceType, Map<string, number>>();
  /** Something was refused (it stands until a partial answer names it again), or several answers came at once. */
  #hurtOnce = false;

  constructor(readonly recording: Recording) {
    const { generation, delta } = recording;
    this.plane = new RecordedPlane(recording);
    this.truth = new Truth(recording);
    const base = configOf();
    this.source = startAds({
      ...OFFLINE_PORTS,
      config: { ...base, discovery: { ...base.discovery, addresses: [ADDRESS], delta } },
      clock: this.clock,
      log: { level: "error", log: () => {} },
      openDirectory: () => assert.fail("no files here"),
      publish: (publication) => void this.world.publish(publication),
      openTransport: this.plane.openTransport,
    }, { generation, name: "test", addresses: [ADDRESS], openCodec: () => Promise.resolve(codec) });
  }

  get program(): Program {
    return this.world.current.program;
  }

  async events(events: readonly Event[]): Promise<void> {
    await this.plane.opened();
    let group: Extract<Event, { kind: "message" }>[] = [];
    for (const event of events) {
      if (event.kind === "end") {
        if (group.length > 0) await this.deliver(group);
        group = [];
        const before = this.program;
        this.plane.call.end(event.error);
        await settled();
        assert.equal(this.program, before, "a lost stream changes nothing");
        await this.reconnect();
        continue;
      }
      this.truth.take(event.original);
      if (event.kind === "dropped") continue;
      group.push(event);
      if (event.burst) continue;
      await this.deliver(group);
      group = [];
    }
    if (group.length > 0) await this.deliver(group);
  }

  async deliver(messages: readonly Extract<Event, { kind: "message" }>[]): Promise<void> {
    const { call } = this.plane;
    const before = this.program;
    const delivered: Delivered[] = [];
    const heardBefore = call.requests.length;
    for (const { bytes, original, hurt } of messages) {
      const head = this.#headOf(bytes);
      const known = head === undefined ? undefined : typeOfUrl(head.typeUrl);
      const type = head !== undefined && known !== undefined &&
          head.typeUrl === typeUrlOf(this.recording.generation, known)
        ? known
        : undefined;
      delivered.push({ head, type, original, hurt });
      for (const name of head?.names ?? []) if (type !== undefined) this.truth.everSaid[type].add(name);
    }
    const asked = delivered.map(({ type }) => call.requests.some((request) => request.type === type));
    for (const { bytes } of messages) call.deliver(bytes);
    for (let i = 0; i < messages.length; i++) await settled();
    this.clock.advance(25);
    await settled();
    const undecodable = delivered.some(({ head }) => head === undefined);
    if (call.closed) {
      assert.ok(undecodable, "a stream is given up only for what is no response");
      assert.match(this.source.status()[0]?.reason ?? "", /D211/);
    } else assert.ok(!undecodable, "what is no response ends the stream");
    if (messages.length === 1) {
      this.#judge(delivered[0] as Delivered, asked[0] as boolean, call, heardBefore, before);
    } else {
      for (const one of delivered) {
        this.#note(one, before);
        if (one.type !== undefined) this.#verdicts.delete(one.type);
      }
      this.#hurtOnce = true;
    }
    delivered.forEach(({ type, head }, i) => {
      if (type === undefined || head === undefined || head.nonce === "" || asked[i] !== true) return;
      const nonces = this.#expected.get(type) ?? new Map<string, number>();
      nonces.set(head.nonce, (nonces.get(head.nonce) ?? 0) + 1);
      this.#expected.set(type, nonces);
    });
    if (!call.closed) this.#oneVerdictEach(call);
    this.#nothingLost(before, delivered);
    if (!call.closed) this.#tellsTheTruth();
    if (call.closed) await this.reconnect();
  }

  /** A new stream: everything that the server holds is sent when it is asked for. */
  async reconnect(): Promise<void> {
    this.#expected = new Map();
    const calls = this.plane.calls.length;
    for (let i = 0; i < 40 && this.plane.calls.length === calls; i++) {
      this.clock.advance(5_000);
      await settled();
    }
    assert.equal(this.plane.calls.length, calls + 1, "the source connects again");
    await this.push();
  }

  /** Everything, once, in Pilot's order. */
  async push(): Promise<void> {
    const { call } = this.plane;
    for (const type of ["CDS", "EDS", "LDS", "RDS"] as const) {
      if (call.subscribed[type].size === 0 || this.truth.resources[type].size === 0) continue;
      const answer = this.truth.push(type, call);
      call.deliver(answer.bytes);
      await this.plane.answered(answer);
      assert.deepEqual(
        call.verdicts(type, answer.nonce),
        { acks: 1, nacks: [] },
        `the good ${type} is taken`,
      );
      this.#verdicts.set(type, undefined);
      if (type === "CDS") this.#setGone(answer.names);
      if (type === "LDS") this.#listeners = answer.names;
    }
    this.clock.advance(25);
    await settled();
  }

  #headOf(bytes: Uint8Array): ResponseHead | undefined {
    try {
      return headOf(this.recording.schema, bytes, this.recording.delta);
    } catch {
      return undefined;
    }
  }

  #setGone(names: readonly string[]): void {
    this.#clustersGone.clear();
    for (const name of this.program.clusters.keys()) if (!names.includes(name)) this.#clustersGone.add(name);
  }

  /** What this answer allows to go. */
  #note({ head, type, original, hurt }: Delivered, before: Program): void {
    if (head === undefined || type === undefined) return;
    const { delta } = this.recording;
    if (type === "CDS") {
      const names = head.sound ? head.names : original.names;
      if (delta) {
        for (const name of head.removed) this.#clustersGone.add(name);
        for (const name of head.names) if (!head.removed.includes(name)) this.#clustersGone.delete(name);
      } else {
        for (const name of before.clusters.keys()) {
          if (names.includes(name)) this.#clustersGone.delete(name);
          else this.#clustersGone.add(name);
        }
      }
    }
    if (type === "LDS") {
      if (hurt || this.#listeners === undefined) this.#listeners = undefined;
      else if (!delta) this.#listeners = head.names;
      else {
        const now = new Set([...this.#listeners, ...head.names]);
        for (const name of head.removed) now.delete(name);
        this.#listeners = [...now];
      }
    }
  }

  #judge(one: Delivered, asked: boolean, call: RecordedCall, heardBefore: number, before: Program): void {
    const { head, type, original } = one;
    if (head === undefined) {
      assert.equal(this.program, before, "what is no response changes nothing");
      return;
    }
    if (type === undefined || !asked) {
      assert.equal(call.requests.length, heardBefore, "what nobody asked for gets no verdict");
      assert.ok(this.source.problems().some(({ code }) => code === "D223"), "it is told that it is ignored");
      return;
    }
    this.#note(one, before);
    const nack = call.requests.slice(heardBefore).find(({ error }) => error !== undefined);
    this.#verdicts.set(type, nack?.error);
    if (head.nonce === "") {
      this.#verdicts.delete(type);
      return;
    }
    if (nack === undefined) {
      assert.ok(head.sound, `accepted, and yet unsound: ${type} ${JSON.stringify(head.names)}`);
      return;
    }
    const text = nack.error as string;
    this.#hurtOnce = true;
    assert.equal(nack.type, type);
    assert.ok(text.length > 0 && text.length <= 2_000 && !text.includes("\n"), `not one sentence: ${text}`);
    const names = [...head.names, ...original.names].filter((name) => name !== "");
    assert.ok(KINDS.test(text) || text.includes(` the ${type} response `), `no kind of resource: ${text}`);
    if (head.names.every((name) => name !== "")) {
      assert.ok(names.some((name) => text.includes(name)), `names no resource: ${text}`);
    }
    if (head.sound) assert.match(text, / version .* [a-z_]\S*: /, "the field is told");
    // A table or endpoints that nothing asks for will not come again: then it is told in the NACK alone.
    const stands = call.subscribed[type].has("*") ||
      names.some((name) => text.includes(` ${name} `) && call.asked({ type, names: [name] }));
    if (!stands) this.#verdicts.delete(type);
  }

  /** `expected`: how often each nonce of a type came. */
  #oneVerdictEach(call: RecordedCall): void {
    for (const [type, nonces] of this.#expected) {
      for (const [nonce, count] of nonces) {
        const { acks, nacks } = call.verdicts(type, nonce);
        const verdicts = acks + nacks.length;
        if (count === 1) assert.equal(verdicts, 1, `${type} ${nonce}: one verdict`);
        else assert.ok(verdicts >= 1 && verdicts <= count, `${type} ${nonce} came ${count} times`);
      }
    }
  }

  #nothingLost(before: Program, delivered: readonly Delivered[]): void {
    const { program } = this;
    for (const name of before.clusters.keys()) {
      assert.ok(program.clusters.has(name) || this.#clustersGone.has(name), `cluster ${name} is lost`);
    }
    for (const name of before.routeConfigurations.keys()) {
      if (program.routeConfigurations.has(name) || this.#listeners === undefined) continue;
      const listened = this.#listeners.some((listener) =>
        listener.endsWith(`_${name}`) || listener.startsWith(`${name}_`)
      );
      assert.ok(!listened && name !== "http_proxy", `table ${name} is lost`);
    }
    const said = new Set(delivered.flatMap(({ type, head }) => type === "EDS" ? head?.names ?? [] : []));
    for (const [name, assignment] of before.loadAssignments) {
      const now = program.loadAssignments.get(name);
      if (now === assignment || said.has(name)) continue;
      const users = [...before.clusters.values()].filter((cluster) =>
        (cluster.edsServiceName ?? cluster.name) === name
      );
      const usersNow = users.filter((user) => program.clusters.get(user.name) === user);
      assert.ok(now === undefined && usersNow.length === 0, `endpoints of ${name} are lost`);
    }
  }

  /** Status and problems, while a stream is open. */
  #tellsTheTruth(): void {
    const [status] = this.source.status();
    for (const { type, nacks, lastNack, resources } of status?.types ?? []) {
      const sent = this.plane.calls.flatMap(({ requests }) =>
        requests.filter((request) => request.type === type && request.error !== undefined)
      );
      assert.equal(nacks, sent.length, `${type}: NACKs counted`);
      assert.equal(lastNack?.text, sent.at(-1)?.error, `${type}: the last NACK`);
      assert.ok(type !== "CDS" || resources > 0 || this.program.clusters.size === 0, "resources are counted");
    }
    assert.equal(status?.addresses[0]?.inUse, true);
    const errors = this.source.problems().filter(refusal);
    const refused = [...this.#verdicts.values()].filter((error) => error !== undefined);
    if (refused.length > 0) assert.ok(errors.length > 0, `refused, and no problem stands: ${refused[0]}`);
    else if (!this.#hurtOnce) {
      // A lost stream is told of until the next one has brought everything.
      const [standing] = errors.filter(({ where }) =>
        status?.step === "synced" || where.kind !== "control plane"
      );
      assert.equal(standing, undefined, "nothing was refused");
    }
  }

  /** Everything again: the world is that of a stream to which nothing was done, and nothing is wrong any more. */
  async mend(): Promise<string> {
    this.clock.advance(25);
    await settled();
    await this.push();
    // Names that the first round let it ask for.
    await this.push();
    this.clock.advance(EVERYTHING_MS);
    await settled();
    const errors = this.source.problems().filter(refusal);
    assert.deepEqual(errors, [], "what was wrong is mended");
    assert.equal(this.source.status()[0]?.step, "synced");
    return contentOf(this.program);
  }

  async close(): Promise<void> {
    await this.source.close();
    await settled();
    assert.equal(this.clock.pending, 0, "timers are left");
  }
}

/** Undecodable, a bad resource, a name twice; others are remarks. */
const refusal = ({ code }: Diagnostic): boolean => ["D211", "D212", "D213"].includes(code);

/** Everything but where it came from and the version, maps sorted. */
function contentOf({ clusters, loadAssignments, routeConfigurations, listeners }: Program): string {
  const plain = (map: ReadonlyMap<string, unknown> | undefined) =>
    [...map ?? []].sort(([a], [b]) => a < b ? -1 : 1);
  return JSON.stringify(
    [clusters, loadAssignments, routeConfigurations, listeners].map(plain),
    (key, value) => key === "origin" ? undefined : value,
  );
}

async function play(recording: Recording, hurts: readonly Hurt[]): Promise<string> {
  const run = new Run(recording);
  try {
    await run.events(eventsOf(recording, hurts));
    return await run.mend();
  } finally {
    await run.close();
  }
}

const OF_0_8 = "pilot-0.8.0/v2/istioserver";
const CORPUS: readonly (readonly [path: string, runs: number, also?: readonly string[]])[] = [
  ["istiod-2026-08/istioserver/updates", 25],
  ["istiod-2026-08/istioserver/updates-delta", 25],
  ["istiod-2026-08/istioserver/sotw-http-proxy", 100],
  ["istiod-2026-08/istioserver/delta", 100],
  ["istiod-2026-08/kitchen_sink/sotw", 30],
  ["istiod-2026-08/kitchen_sink/delta", 30],
  ["pilot-1.0.9/v2/kitchen_sink/basic", 40],
  ["pilot-0.8.0/v2/kitchen_sink/basic", 40],
  [`${OF_0_8}/updates`, 15, [`${OF_0_8}/basic/005-rds.bin`]],
];

for (const [path, numRuns, also] of CORPUS) {
  Deno.test(`${path}: damaged on the way`, async () => {
    const recording = readRecording(path, also);
    const whole = await play(recording, []);
    await fc.assert(
      fc.asyncProperty(fc.array(hurt, { minLength: 1, maxLength: 5 }), async (hurts) => {
        assert.equal(await play(recording, hurts), whole, "a good push mends everything");
      }),
      { seed: SEED, numRuns },
    );
  });
}

const clean = { at: 0, inner: 0, byte: 0, bit: 0 };
/** Of the second of two pushes of four answers. */
const [CDS, EDS, LDS, RDS] = [0.5, 0.625, 0.75, 0.875] as const;

/** What was wrong once, and what must never be. */
const REGRESSIONS: readonly (readonly [what: string, path: string, ...hurts: Hurt[]])[] = [
  ["a cluster without a value is not a deleted one", "istioserver/sotw", {
    ...clean,
    kind: "empty resource",
    at: CDS,
  }],
  ["a listener without a value is not a deleted one", "istioserver/sotw", {
    ...clean,
    kind: "empty resource",
    at: LDS,
  }],
  ["a cluster whose name is unreadable is not a deleted one", "istioserver/sotw", {
    ...clean,
    kind: "flip in resource",
    at: CDS,
    bit: 1,
  }],
  ["a table without a name is refused", "istioserver/sotw", {
    ...clean,
    kind: "flip in resource",
    at: RDS,
    bit: 1,
  }],
  ["a table is not the one that its wrapper names", "istioserver/delta", {
    ...clean,
    kind: "flip in resource",
    at: RDS,
    bit: 4,
  }],
  ["endpoints are those of the cluster that their wrapper names", "istioserver/delta", {
    ...clean,
    kind: "flip in resource",
    at: EDS,
    byte: 0.1,
    bit: 0,
  }],
  ["endpoints among clusters", "kitchen_sink/sotw", {
    ...clean,
    kind: "wrong type inside",
    at: CDS,
    byte: 0.1,
  }],
  ["clusters that call themselves tables", "istioserver/sotw", {
    ...clean,
    kind: "other type",
    at: CDS,
    byte: 0.9,
  }],
  ["a bad cluster keeps its last good value", "istioserver/sotw", { ...clean, kind: "bad value", at: CDS }],
  ["bad endpoints keep their last good value", "istioserver/sotw", { ...clean, kind: "bad value", at: EDS }],
  ["a bad listener keeps its last good value", "istioserver/sotw", { ...clean, kind: "bad value", at: LDS }],
  ["a bad table keeps its last good value", "istioserver/delta", { ...clean, kind: "bad value", at: RDS }],
  [
    "what was refused and is removed is no problem any more",
    "istioserver/delta",
    { ...clean, kind: "wrong wrapper", at: CDS },
    { ...clean, kind: "wrong wrapper", at: LDS },
  ],
  ["a bad table whose listener is gone is no problem for ever", "istioserver/updates", {
    ...clean,
    kind: "bad value",
    at: 0.985,
  }],
  ["the stream is lost before the first answer", "istioserver/delta", { ...clean, kind: "lost stream" }],
  [
    "a whole push at once after a lost one",
    "istioserver/sotw",
    { ...clean, kind: "burst", at: CDS },
    { ...clean, kind: "burst", at: EDS },
    { ...clean, kind: "burst", at: LDS },
    { ...clean, kind: "drop", at: 0.25 },
  ],
];

for (const [what, path, ...hurts] of REGRESSIONS) {
  Deno.test(`damaged on the way: ${what}`, async () => {
    const recording = readRecording(`istiod-2026-08/${path}`);
    assert.equal(await play(recording, hurts), await play(recording, []));
  });
}

Deno.test("damaged on the way: what came before bytes that are no response is in force at once", async () => {
  const recording = readRecording("istiod-2026-08/istioserver/updates");
  const run = new Run(recording);
  try {
    await run.plane.opened();
    await run.plane.play("start");
    const before = run.program;
    for (const { step, bytes } of recording.answers) {
      if (step.startsWith("01-")) run.plane.call.deliver(bytes);
    }
    run.plane.call.deliver(Uint8Array.of(7));
    for (let i = 0; i < 5; i++) await settled();
    assert.ok(run.plane.call.closed);
    assert.notEqual(run.program.routeConfigurations, before.routeConfigurations);
  } finally {
    await run.close();
  }
});

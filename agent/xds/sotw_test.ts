import assert from "node:assert/strict";
import { temperOf } from "./quirks.ts";
import { sotw, type SotwState } from "./sotw.ts";
import type { SessionEvent, Step } from "./session.ts";
import { type Generation, type RawResource, type Request, type ResourceType, typeUrlOf } from "./types.ts";

const PILOT_08 = "2026-11-24 07:37:45.409818586 +0000 UTC m=+1.050812677";
const PILOT_10 = "2026-11-24T07:38:12Z/1";

/** `EDS node a,b @version nonce`, with `!error` for a NACK. */
function show(request: Request): string {
  if (request.kind !== "sotw") throw new Error("want a state-of-the-world request");
  const { type, withNode, names, version, nonce, error } = request;
  return [
    type,
    ...(withNode ? ["node"] : []),
    ...(names.length === 0 ? [] : [names.join(",")]),
    ...(version === "" ? [] : [`@${version}`]),
    ...(nonce === "" ? [] : [nonce]),
    ...(error === undefined ? [] : [`!${error}`]),
  ].join(" ");
}

function raw(name: string, typeUrl = "x"): RawResource {
  return { name, version: "", typeUrl, bytes: new Uint8Array(typeUrl === "" ? 0 : 1) };
}

/** A session that is told what happens, one line at a time, and the requests that follow. */
class Talk {
  #state: SotwState;
  readonly #generation: Generation;
  events: readonly SessionEvent[] = [];

  constructor(generation: Generation) {
    this.#generation = generation;
    this.#state = sotw.begin({ generation });
  }

  #take(step: Step<SotwState>): string[] {
    this.#state = step.state;
    this.events = step.events;
    return step.send.map(show);
  }

  open = (): string[] => this.#take(sotw.open(this.#state, {}));
  watch = (type: "EDS" | "RDS", ...names: string[]): string[] =>
    this.#take(sotw.watch(this.#state, type, names));
  ack = (type: ResourceType, nonce: string): string[] =>
    this.#take(sotw.judge(this.#state, type, nonce, { ok: true }));
  nack = (type: ResourceType, nonce: string, error = "bad"): string[] =>
    this.#take(sotw.judge(this.#state, type, nonce, { ok: false, error }));
  receive(
    type: ResourceType | string,
    version: string,
    nonce: string,
    resources: readonly RawResource[] = [],
  ) {
    const typeUrl = type.length === 3 ? typeUrlOf(this.#generation, type as ResourceType) : type;
    return this.#take(
      sotw.receive(this.#state, { version, typeUrl, nonce, resources, removed: [] }),
    );
  }

  /** A response and its ACK. */
  answer(type: ResourceType, version: string, nonce: string): string[] {
    assert.deepEqual(this.receive(type, version, nonce), []);
    return this.ack(type, nonce);
  }
}

/** Each row: a rule, and a talk that shows it. */
const RULES: readonly (readonly [string, () => void])[] = [
  ["nothing is sent before the stream is open", () => {
    const talk = new Talk("v3");
    assert.deepEqual(talk.watch("EDS", "a"), []);
    assert.deepEqual(talk.open(), ["CDS node", "EDS a", "LDS"]);
  }],
  ["first requests: CDS, LDS; the node only in the first one of a v3 stream", () => {
    const talk = new Talk("v3");
    assert.deepEqual(talk.open(), ["CDS node", "LDS"]);
    assert.deepEqual(talk.watch("EDS", "a", "b"), ["EDS a,b"]);
    assert.deepEqual(talk.watch("RDS", "80"), ["RDS 80"]);
  }],
  ["the node is in every request of a v2 stream", () => {
    const talk = new Talk("v2");
    assert.deepEqual(talk.open(), ["CDS node", "LDS node"]);
    assert.deepEqual(talk.answer("CDS", "1", "n1"), ["CDS node @1 n1"]);
    assert.deepEqual(talk.watch("EDS", "a"), ["EDS node a"]);
    talk.receive("EDS", "1", "n2");
    assert.deepEqual(talk.nack("EDS", "n2"), ["EDS node a n2 !bad"]);
  }],
  ["an ACK has the version and nonce of its response, and the names", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("EDS", "a");
    assert.deepEqual(talk.answer("EDS", "7", "n7"), ["EDS a @7 n7"]);
  }],
  ["a NACK has the last accepted version, the nonce of the response and the error", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.receive("CDS", "1", "n1");
    assert.deepEqual(talk.nack("CDS", "n1", "no"), ["CDS n1 !no"]);
    talk.answer("CDS", "2", "n2");
    talk.receive("CDS", "3", "n3");
    assert.deepEqual(talk.nack("CDS", "n3", "no"), ["CDS @2 n3 !no"]);
  }],
  ["nonces and versions are by type", () => {
    const talk = new Talk("v3");
    talk.open();
    assert.deepEqual(talk.answer("CDS", "1", "c1"), ["CDS @1 c1"]);
    assert.deepEqual(talk.answer("LDS", "2", "l1"), ["LDS @2 l1"]);
    assert.deepEqual(talk.watch("RDS", "80"), ["RDS 80"]);
  }],
  ["exactly one verdict a response: a second one sends nothing", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.answer("CDS", "1", "n1");
    assert.deepEqual(talk.ack("CDS", "n1"), []);
    assert.deepEqual(talk.nack("CDS", "n1"), []);
  }],
  ["a verdict on a response of an earlier stream sends nothing", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.receive("CDS", "1", "n1");
    talk.open();
    assert.deepEqual(talk.ack("CDS", "n1"), []);
  }],
  ["a new stream: empty nonces, accepted versions, current names, node", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.answer("CDS", "1", "n1");
    talk.watch("EDS", "a");
    talk.answer("EDS", "1", "n2");
    talk.watch("RDS", "80", "http_proxy");
    assert.deepEqual(talk.open(), ["CDS node @1", "EDS a @1", "LDS", "RDS 80,http_proxy"]);
  }],
  ["new names: one request with the whole list and the last nonce", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("EDS", "a");
    talk.answer("EDS", "1", "n1");
    assert.deepEqual(talk.watch("EDS", "a", "b"), ["EDS a,b @1 n1"]);
    assert.deepEqual(talk.watch("EDS", "a", "b"), []);
  }],
  ["names changed while the first answer is on its way: nonce still empty", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("EDS", "a");
    assert.deepEqual(talk.watch("EDS", "b"), ["EDS b"]);
  }],
  ["names changed while a response waits for its verdict come with the ACK", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("EDS", "a");
    talk.receive("EDS", "1", "n1");
    assert.deepEqual(talk.watch("EDS", "a", "b"), []);
    assert.deepEqual(talk.ack("EDS", "n1"), ["EDS a,b @1 n1"]);
  }],
  ["a stale nonce (a newer response crossed the change): the ACK says the names again", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("EDS", "a");
    talk.answer("EDS", "1", "n1");
    assert.deepEqual(talk.watch("EDS", "a", "b"), ["EDS a,b @1 n1"]);
    assert.deepEqual(talk.answer("EDS", "2", "n2"), ["EDS a,b @2 n2"]);
  }],
  ["names in a NACK are not taken over: the change follows as a request of its own", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("EDS", "a");
    talk.answer("EDS", "1", "n1");
    talk.receive("EDS", "2", "n2");
    talk.watch("EDS", "a", "b");
    assert.deepEqual(talk.nack("EDS", "n2"), ["EDS a @1 n2 !bad", "EDS a,b @1 n2"]);
  }],
  ["a change that may have been stale is said again after a NACK", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("EDS", "a");
    talk.answer("EDS", "1", "n1");
    talk.watch("EDS", "a", "b");
    talk.receive("EDS", "2", "n2");
    assert.deepEqual(talk.nack("EDS", "n2"), ["EDS a,b @1 n2 !bad", "EDS a,b @1 n2"]);
  }],
  ["a NACK without a change is alone", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("EDS", "a");
    talk.receive("EDS", "1", "n1");
    assert.deepEqual(talk.nack("EDS", "n1"), ["EDS a n1 !bad"]);
  }],
  ["never an EDS or RDS request without names: the last ones stay", () => {
    for (const generation of ["v2", "v3"] as const) {
      const talk = new Talk(generation);
      const node = generation === "v2" ? " node" : "";
      assert.deepEqual(talk.watch("RDS"), []);
      assert.equal(talk.open().length, 2);
      assert.deepEqual(talk.watch("EDS"), []);
      talk.watch("EDS", "a");
      talk.answer("EDS", "1", "n1");
      assert.deepEqual(talk.watch("EDS"), []);
      assert.deepEqual(talk.answer("EDS", "2", "n2"), [`EDS${node} a @2 n2`]);
      talk.receive("EDS", "3", "n3");
      assert.deepEqual(talk.nack("EDS", "n3"), [`EDS${node} a @2 n3 !bad`]);
      assert.equal(talk.open().length, 2, "nothing wanted, nothing asked on a new stream");
    }
  }],
  ["an unknown Pilot is taken for 0.8: RDS names are numbers or http_proxy", () => {
    const talk = new Talk("v2");
    talk.open();
    assert.deepEqual(talk.watch("RDS", "80", "a.b:81", "http_proxy"), ["RDS node 80,http_proxy"]);
    assert.deepEqual(talk.answer("RDS", PILOT_08, "n1"), [`RDS node 80,http_proxy @${PILOT_08} n1`]);
    assert.deepEqual(talk.watch("RDS", "80", "a.b:82", "http_proxy"), []);
    const shy = new Talk("v2");
    shy.open();
    assert.deepEqual(shy.watch("RDS", "a.b:81"), [], "nothing safe left: no request at all");
  }],
  ["once a Pilot shows to be 1.0 or later, host:port tables are asked for", () => {
    const talk = new Talk("v2");
    talk.open();
    talk.watch("RDS", "80", "a.b:81");
    talk.receive("CDS", PILOT_10, "n1");
    const asked = talk.ack("CDS", "n1");
    assert.deepEqual(asked, [`CDS node @${PILOT_10} n1`]);
    const other = new Talk("v2");
    other.watch("RDS", "80", "a.b:81");
    assert.deepEqual(other.open(), ["CDS node", "LDS node", "RDS node 80"]);
    assert.deepEqual(other.receive("CDS", PILOT_10, "n1"), ["RDS node 80,a.b:81"]);
  }],
  ["what a Pilot is, is learnt anew on each stream", () => {
    const talk = new Talk("v2");
    talk.open();
    talk.receive("CDS", PILOT_10, "n1");
    assert.deepEqual(talk.watch("RDS", "80", "a.b:81"), ["RDS node 80,a.b:81"]);
    assert.deepEqual(talk.open(), ["CDS node", "LDS node", "RDS node 80"]);
  }],
  ["another RDS name, as many as before: a detour by both (v2)", () => {
    for (const version of [PILOT_08, PILOT_10]) {
      const talk = new Talk("v2");
      talk.open();
      talk.watch("RDS", "80");
      talk.answer("RDS", version, "n1");
      assert.deepEqual(talk.watch("RDS", "81"), [
        `RDS node 80,81 @${version} n1`,
        `RDS node 81 @${version} n1`,
      ]);
    }
  }],
  ["other RDS names, as many as before: a detour by one of them (v2)", () => {
    const talk = new Talk("v2");
    talk.open();
    talk.watch("RDS", "80", "81");
    talk.answer("RDS", PILOT_10, "n1");
    assert.deepEqual(
      talk.watch("RDS", "82", "83"),
      [`RDS node 82 @${PILOT_10} n1`, `RDS node 82,83 @${PILOT_10} n1`],
    );
  }],
  ["another EDS name, as many as before: a detour for 0.8 only", () => {
    for (const [version, count] of [[PILOT_08, 2], [PILOT_10, 1]] as const) {
      const talk = new Talk("v2");
      talk.open();
      talk.watch("EDS", "a");
      talk.answer("EDS", version, "n1");
      assert.equal(talk.watch("EDS", "b").length, count);
    }
  }],
  ["no detour for v3", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("RDS", "80");
    talk.answer("RDS", "1", "n1");
    assert.deepEqual(talk.watch("RDS", "81"), ["RDS 81 @1 n1"]);
  }],
  ["a detour in an ACK: the ACK takes it, the names follow", () => {
    const talk = new Talk("v2");
    talk.open();
    talk.watch("RDS", "80");
    talk.receive("RDS", PILOT_10, "n1");
    talk.watch("RDS", "81");
    assert.deepEqual(talk.ack("RDS", "n1"), [
      `RDS node 80,81 @${PILOT_10} n1`,
      `RDS node 81 @${PILOT_10} n1`,
    ]);
  }],
  ["CDS and LDS are complete, EDS and RDS partial", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("EDS", "a");
    talk.watch("RDS", "80");
    for (const [type, complete] of [["CDS", true], ["EDS", false], ["LDS", true], ["RDS", false]] as const) {
      talk.receive(type, "1", `n${type}`, [raw("a")]);
      assert.deepEqual(talk.events, [{
        kind: "apply",
        type,
        version: "1",
        nonce: `n${type}`,
        resources: [raw("a")],
        removed: [],
        complete,
      }]);
    }
  }],
  ["a nil resource (0.8, unknown RDS name) is passed over", () => {
    const talk = new Talk("v2");
    talk.open();
    talk.watch("RDS", "80");
    talk.receive("RDS", PILOT_08, "n1", [raw("", ""), raw("80")]);
    const [event] = talk.events;
    assert.deepEqual(event?.kind === "apply" && event.resources, [raw("80")]);
  }],
  ["unknown types, those of another generation and those never asked for are ignored", () => {
    const talk = new Talk("v3");
    talk.open();
    for (const type of ["type.googleapis.com/foo.Bar", typeUrlOf("v2", "CDS"), "EDS"]) {
      assert.deepEqual(talk.receive(type, "1", "n1"), []);
      assert.equal(talk.events[0]?.kind, "ignored");
    }
    assert.deepEqual(talk.ack("EDS", "n1"), []);
  }],
  ["a response without nonce gets no ACK: it would be a first request", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.receive("CDS", "1", "");
    assert.deepEqual(talk.ack("CDS", ""), []);
  }],
  ["another reason or another version counts anew", () => {
    const talk = new Talk("v3");
    talk.open();
    for (let i = 1; i <= 24; i++) {
      talk.receive("CDS", "1", `n${i}`);
      assert.equal(talk.nack("CDS", `n${i}`, i % 2 === 0 ? "bad" : "worse").length, 1);
    }
    for (let i = 1; i <= 24; i++) {
      talk.receive("CDS", String(i), `m${i}`);
      assert.equal(talk.nack("CDS", `m${i}`).length, 1);
    }
  }],
  ["names that wait while the refusals fall silent are asked for all the same, once", () => {
    const talk = new Talk("v3");
    talk.open();
    talk.watch("RDS", "80");
    for (let i = 1; i <= 10; i++) {
      talk.receive("RDS", "1", `n${i}`);
      talk.nack("RDS", `n${i}`);
    }
    talk.receive("RDS", "1", "n11");
    assert.deepEqual(talk.watch("RDS", "80", "81"), []);
    assert.deepEqual(talk.nack("RDS", "n11"), ["RDS 80,81 n11"]);
    talk.receive("RDS", "1", "n12");
    assert.deepEqual(talk.nack("RDS", "n12"), []);
  }],
  ["the same refusal of the same version is said ten times, then no more", () => {
    const talk = new Talk("v3");
    talk.open();
    for (let i = 1; i <= 12; i++) {
      talk.receive("CDS", "1", `n${i}`);
      assert.equal(talk.nack("CDS", `n${i}`).length, i <= 10 ? 1 : 0);
      assert.equal(talk.events.length, i <= 10 ? 0 : 1);
    }
    talk.receive("CDS", "2", "m1");
    assert.equal(talk.nack("CDS", "m1").length, 1);
  }],
];

for (const [rule, shows] of RULES) Deno.test(`state of the world: ${rule}`, shows);

Deno.test("versions tell which Pilot it is", () => {
  assert.equal(temperOf(PILOT_08), "0.8");
  assert.equal(temperOf(PILOT_10), "1.x");
  assert.equal(temperOf("2019-03-01T10:00:00+01:00/12"), "1.x");
  assert.equal(temperOf("0"), "unknown");
  assert.equal(temperOf(""), "unknown");
});

Deno.test("a state is a value: the same step twice gives the same", () => {
  const begun = sotw.begin({ generation: "v2" });
  const opened = sotw.open(sotw.watch(begun, "EDS", ["a"]).state, {}).state;
  assert.deepEqual(sotw.watch(opened, "EDS", ["b"]), sotw.watch(opened, "EDS", ["b"]));
  assert.deepEqual(sotw.begin({ generation: "v2" }), begun);
});

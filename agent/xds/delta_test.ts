import assert from "node:assert/strict";
import { delta, type DeltaState } from "./delta.ts";
import type { Held, SessionEvent, Step } from "./session.ts";
import { type RawResource, type Request, type ResourceType, typeUrlOf } from "./types.ts";

/** `EDS node +a,b -c {a:1} nonce`, with `!error` for a NACK. */
function show(request: Request): string {
  if (request.kind !== "delta") throw new Error("want a delta request");
  const { type, withNode, subscribe, unsubscribe, initialVersions, nonce, error } = request;
  const held = Object.entries(initialVersions).map(([name, version]) => `${name}:${version}`);
  return [
    type,
    ...(withNode ? ["node"] : []),
    ...(subscribe.length === 0 ? [] : [`+${subscribe.join(",")}`]),
    ...(unsubscribe.length === 0 ? [] : [`-${unsubscribe.join(",")}`]),
    ...(held.length === 0 ? [] : [`{${held.join(",")}}`]),
    ...(nonce === "" ? [] : [nonce]),
    ...(error === undefined ? [] : [`!${error}`]),
  ].join(" ");
}

class Talk {
  #state: DeltaState = delta.begin({ generation: "v3" });
  events: readonly SessionEvent[] = [];

  #take(step: Step<DeltaState>): string[] {
    this.#state = step.state;
    this.events = step.events;
    return step.send.map(show);
  }

  open = (held: Partial<Record<ResourceType, Held>> = {}): string[] =>
    this.#take(delta.open(this.#state, held));
  watch = (type: "EDS" | "RDS", ...names: string[]): string[] =>
    this.#take(delta.watch(this.#state, type, names));
  ack = (type: ResourceType, nonce: string): string[] =>
    this.#take(delta.judge(this.#state, type, nonce, { ok: true }));
  nack = (type: ResourceType, nonce: string, error = "bad"): string[] =>
    this.#take(delta.judge(this.#state, type, nonce, { ok: false, error }));
  receive(
    type: ResourceType | string,
    nonce: string,
    resources: readonly RawResource[] = [],
    removed: readonly string[] = [],
  ): string[] {
    const typeUrl = type.length === 3 ? typeUrlOf("v3", type as ResourceType) : type;
    return this.#take(delta.receive(this.#state, { version: "1", typeUrl, nonce, resources, removed }));
  }
}

/** Each row: a rule, and a talk that shows it. */
const RULES: readonly (readonly [string, () => void])[] = [
  ["nothing is sent before the stream is open", () => {
    const talk = new Talk();
    assert.deepEqual(talk.watch("EDS", "a"), []);
    assert.deepEqual(talk.open(), ["CDS node", "EDS +a", "LDS"]);
  }],
  ["CDS and LDS are asked for without names (all); the node is in the first request only", () => {
    const talk = new Talk();
    assert.deepEqual(talk.open(), ["CDS node", "LDS"]);
    assert.deepEqual(talk.watch("RDS", "80"), ["RDS +80"]);
  }],
  ["EDS and RDS without names are not asked for: that would mean all", () => {
    const talk = new Talk();
    talk.open();
    assert.deepEqual(talk.watch("EDS"), []);
    assert.deepEqual(talk.open(), ["CDS node", "LDS"]);
  }],
  ["an ACK has the nonce and no names", () => {
    const talk = new Talk();
    talk.open();
    talk.watch("EDS", "a");
    assert.deepEqual(talk.receive("EDS", "n1"), []);
    assert.deepEqual(talk.ack("EDS", "n1"), ["EDS n1"]);
  }],
  ["a NACK has the nonce, the error and no names", () => {
    const talk = new Talk();
    talk.open();
    talk.receive("CDS", "n1");
    assert.deepEqual(talk.nack("CDS", "n1", "no"), ["CDS n1 !no"]);
  }],
  [
    "names change in a request of their own with an empty nonce, also while a response waits for its verdict",
    () => {
      const talk = new Talk();
      talk.open();
      talk.watch("EDS", "a", "b");
      talk.receive("EDS", "n1");
      assert.deepEqual(talk.watch("EDS", "b", "c"), ["EDS +c -a"]);
      assert.deepEqual(talk.ack("EDS", "n1"), ["EDS n1"]);
      assert.deepEqual(talk.watch("EDS", "b", "c"), []);
      assert.deepEqual(talk.watch("EDS"), ["EDS -b,c"]);
      assert.deepEqual(talk.watch("EDS", "d"), ["EDS +d"]);
    },
  ],
  ["a new stream names what is held and repeats the names", () => {
    const talk = new Talk();
    talk.open();
    talk.watch("EDS", "a");
    talk.watch("RDS", "80");
    assert.deepEqual(
      talk.open({
        CDS: { versions: { x: "1", y: "" } },
        EDS: { versions: { a: "2" } },
        LDS: { versions: { l: "3" } },
      }),
      ["CDS node {x:1,y:}", "EDS +a {a:2}", "LDS {l:3}", "RDS +80"],
    );
  }],
  ["what is held and not wanted any more is not named: it would count as subscribed", () => {
    const talk = new Talk();
    talk.watch("EDS", "a");
    assert.deepEqual(talk.open({ EDS: { versions: { a: "1", b: "1" } } }), [
      "CDS node",
      "EDS +a {a:1}",
      "LDS",
    ]);
  }],
  ["exactly one verdict a response, none for those of an earlier stream", () => {
    const talk = new Talk();
    talk.open();
    talk.receive("CDS", "n1");
    assert.deepEqual(talk.ack("CDS", "n1"), ["CDS n1"]);
    assert.deepEqual(talk.ack("CDS", "n1"), []);
    talk.receive("CDS", "n2");
    talk.open();
    assert.deepEqual(talk.nack("CDS", "n2"), []);
  }],
  ["every response is partial and may remove", () => {
    const talk = new Talk();
    talk.open();
    const a: RawResource = { name: "a", version: "", typeUrl: "x", bytes: new Uint8Array(1) };
    talk.receive("CDS", "n1", [a], ["b"]);
    assert.deepEqual(talk.events, [
      {
        kind: "apply",
        type: "CDS",
        version: "1",
        nonce: "n1",
        resources: [a],
        removed: ["b"],
        complete: false,
      },
    ]);
  }],
  ["a wrapper without a resource means unchanged", () => {
    const talk = new Talk();
    talk.open();
    talk.receive("CDS", "n1", [{ name: "a", version: "1", typeUrl: "", bytes: new Uint8Array() }]);
    const [event] = talk.events;
    assert.deepEqual(event?.kind === "apply" && event.resources, []);
  }],
  ["unknown types and those never asked for are ignored", () => {
    const talk = new Talk();
    talk.open();
    for (const type of ["type.googleapis.com/foo.Bar", typeUrlOf("v2", "CDS"), "RDS"]) {
      assert.deepEqual(talk.receive(type, "n1"), []);
      assert.equal(talk.events[0]?.kind, "ignored");
    }
  }],
  ["a response without nonce gets no ACK: it would be a request of its own", () => {
    const talk = new Talk();
    talk.open();
    talk.receive("CDS", "");
    assert.deepEqual(talk.ack("CDS", ""), []);
  }],
  ["the same refusal of the same version is said ten times, then no more", () => {
    const talk = new Talk();
    talk.open();
    for (let i = 1; i <= 12; i++) {
      talk.receive("CDS", `n${i}`);
      assert.equal(talk.nack("CDS", `n${i}`).length, i <= 10 ? 1 : 0);
      assert.equal(talk.events.length, i <= 10 ? 0 : 1);
    }
  }],
];

for (const [rule, shows] of RULES) Deno.test(`delta: ${rule}`, shows);

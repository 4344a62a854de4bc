import assert from "node:assert/strict";
import { Admission } from "./admission.ts";
import {
  answering,
  FakeClock,
  GET,
  got,
  type MemoryStream,
  OK,
  type Rig,
  rig,
  type RigOptions,
  send,
  settle,
} from "./proxy_fixture_test.ts";

/** Turns that end when told to. */
class FakeTurns {
  asked = 0;
  #end: (() => void) | undefined;
  next = (): Promise<void> => {
    this.asked++;
    return new Promise((resolve) => this.#end = resolve);
  };
  async end(): Promise<void> {
    this.#end?.();
    await settle();
  }
}

/** What a busy event loop takes for a turn, ms. */
const LONG_MS = 1;

class Bench {
  readonly clock = new FakeClock();
  readonly turns = new FakeTurns();
  readonly admission = new Admission(this.clock, this.turns);
  /** Who began, in order. */
  readonly begun: number[] = [];
  #asked = 0;

  async enter(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const one = this.#asked++;
      const turn = this.admission.enter();
      if (turn === null) this.begun.push(one);
      else void turn.then(() => this.begun.push(one));
    }
    await settle();
  }

  async leave(count: number): Promise<void> {
    for (let i = 0; i < count; i++) this.admission.leave();
    await settle();
  }

  async longTurn(): Promise<void> {
    this.clock.time += LONG_MS;
    await this.turns.end();
  }
}

Deno.test("admission: 40 begin at once, the others in order as those leave; no turn is asked for without need", async () => {
  const b = new Bench();
  await b.enter(40);
  assert.equal(b.begun.length, 40);
  assert.equal(b.turns.asked, 0);
  await b.enter(100);
  assert.equal(b.begun.length, 40);
  assert.equal(b.turns.asked, 1);
  await b.leave(70);
  assert.deepEqual(b.begun, Array.from({ length: 110 }, (_, i) => i));
  assert.equal(b.admission.waiting, 30);
  await b.leave(30);
  await b.longTurn();
  await b.clock.advance(10);
  assert.equal(b.turns.asked, 1, "nobody waits");
  await b.leave(40);
  await b.enter(40);
  assert.equal(b.turns.asked, 1);
});

Deno.test("admission: after a long turn 8 more begin, and those who leave make room only below the limit", async () => {
  const b = new Bench();
  await b.enter(200);
  await b.longTurn();
  assert.equal(b.begun.length, 48);
  assert.equal(b.turns.asked, 2);
  await b.longTurn();
  assert.equal(b.begun.length, 56);
  await b.leave(16);
  assert.equal(b.begun.length, 56);
  await b.leave(1);
  assert.equal(b.begun.length, 57);
});

Deno.test("admission: a turn that was over at once doubles the limit, once in a millisecond", async () => {
  const b = new Bench();
  await b.enter(1000);
  for (const begun of [80, 160, 320, 640, 1000]) {
    await b.turns.end();
    assert.equal(b.begun.length, begun);
    if (begun === 1000) break;
    const { asked } = b.turns;
    await b.clock.advance(1);
    assert.equal(b.turns.asked, asked + 1, "not before a millisecond is over");
  }
  assert.equal(b.admission.waiting, 0);
  await b.enter(400);
  assert.equal(b.begun.length, 1280);
  // Within one millisecond of a rise there is none, but nobody starves.
  await b.turns.end();
  assert.equal(b.begun.length, 1288);
});

Deno.test("admission: the limit falls slowly with those who leave, and fast with long turns", async () => {
  const b = new Bench();
  await b.enter(81);
  await b.turns.end();
  await b.leave(81);
  // 80 less 81 / 64.
  await b.enter(80);
  assert.equal(b.admission.waiting, 1);
  assert.equal(b.begun.length, 81 + 79);
  await b.enter(100);
  await b.clock.advance(1);
  // 68.9 is 7/8 of it; 8 begin all the same.
  await b.longTurn();
  assert.equal(b.begun.length, 81 + 87);
  await b.leave(18);
  assert.equal(b.begun.length, 81 + 87, "69 are within");
  await b.leave(1);
  assert.equal(b.begun.length, 81 + 88);
  for (let i = 0; i < 10; i++) {
    await b.clock.advance(1);
    await b.longTurn();
  }
  await b.leave(180 - 19);
  await b.enter(200);
  assert.equal(b.begun.length, 81 + 180 + 40, "never below 40");
});

Deno.test("admission: without turns everything begins at once", () => {
  const admission = new Admission(new FakeClock(), null);
  for (let i = 0; i < 1000; i++) assert.equal(admission.enter(), null);
});

const OPTIONS = { limits: { maxConnections: 1000, maxIdlePerEndpoint: 1000, maxInFlight: 1000 } };

async function crowd(count: number, options: RigOptions, text = GET): Promise<[Rig, MemoryStream[]]> {
  const r = rig({ ...OPTIONS, turns: new FakeTurns(), ...options });
  const clients: MemoryStream[] = [];
  for (let i = 0; i < count; i++) {
    const client = r.client();
    clients.push(client);
    send(client, text);
    await settle();
  }
  return [r, clients];
}

Deno.test("a crowd is answered over few connections: an answer makes room, its connection serves the next", async () => {
  const [r, clients] = await crowd(76, { upstream: () => {} });
  assert.equal(r.dialed.length, 40);
  await r.clock.advance(20);
  for (let i = 0; i < 36; i++) {
    send(r.upstreams[i]!, OK);
    await settle();
  }
  assert.equal(r.dialed.length, 40);
  for (const upstream of r.upstreams) {
    send(upstream, OK);
    await settle();
  }
  assert.equal(r.dialed.length, 40);
  for (const client of clients) assert.match(got(client), /^HTTP\/1.1 200 /);
  // The wait is in the duration, and not in what the upstream took.
  const waited = r.records.filter((record) => record.durationMs === 20 && record.upstreamServiceTimeMs === 0);
  assert.equal(waited.length, 36);
  r.proxy.close();
});

/** 40 that do not end, then one more; `wait` gets the 40 to wait for others than the proxy. */
async function doesNotWait(
  options: RigOptions,
  text: string,
  wait: (r: Rig) => Promise<void>,
): Promise<void> {
  const [r] = await crowd(40, options, text);
  await wait(r);
  const client = r.client();
  send(client, GET);
  await settle();
  const { length } = r.dialed;
  r.proxy.close();
  await settle();
  assert.equal(length, 41);
}

Deno.test("requests that wait for long are not counted: slow upstreams, long answers, long bodies, tunnels", async () => {
  const silent = { upstream: () => {} };
  await doesNotWait(silent, GET, (r) => r.clock.advance(500));
  await doesNotWait(
    { upstream: answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") },
    GET,
    settle,
  );
  await doesNotWait(silent, "POST /a HTTP/1.1\r\nHost: svc\r\nContent-Length: 9\r\n\r\nhalf", settle);
  await doesNotWait(
    { upstream: answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n") },
    "GET /a HTTP/1.1\r\nHost: svc\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    settle,
  );
});

Deno.test("half a head holds no place, and waits for its turn when it is whole", async () => {
  const [r] = await crowd(40, { upstream: () => {} }, GET.slice(0, 9));
  const client = r.client();
  send(client, GET);
  await settle();
  assert.equal(r.dialed.length, 1);
  const [other, halves] = await crowd(39, { upstream: () => {} });
  const [first, second] = [other.client(), other.client()];
  for (const half of [first, second]) send(half, GET.slice(0, 9));
  await settle();
  for (const half of [first, second]) {
    send(half, GET.slice(9));
    await settle();
  }
  assert.equal(other.dialed.length, 40);
  send(other.upstreams[0]!, OK);
  await settle();
  send(other.upstreams[0]!, OK);
  await settle();
  assert.match(got(halves[0]!), /^HTTP\/1.1 200 /);
  assert.match(got(second), /^HTTP\/1.1 200 /);
  assert.equal(other.dialed.length, 40);
  r.proxy.close();
  other.proxy.close();
});

Deno.test("whoever waits while the proxy closes is let go", async () => {
  const turns = new FakeTurns();
  const [r] = await crowd(42, { upstream: () => {}, turns });
  r.proxy.close();
  await turns.end();
  assert.equal(r.proxy.stats().connections, 40);
  assert.equal(r.dialed.length, 40);
});

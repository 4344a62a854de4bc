import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import type { ConnectStep, MessageStream, StreamTarget } from "../core/ports.ts";
import { GrpcPeer } from "../../tests/harness/grpc_peer.ts";
import { TRANSPORTS } from "../../tests/harness/transports.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function target(port: number, more: Partial<StreamTarget> = {}): StreamTarget {
  return {
    host: "127.0.0.1",
    port,
    path: "/peer/Call",
    maxMessageBytes: 128 << 20,
    keepaliveMs: 0,
    connectTimeoutMs: 5000,
    onStep() {},
    ...more,
  };
}

function order(stream: MessageStream, what: Readonly<Record<string, unknown>>): void {
  stream.send(encoder.encode(JSON.stringify(what)));
}

async function failureOf(promise: Promise<unknown>): Promise<MeshError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof MeshError, String(error));
    return error;
  }
  assert.fail("there was no failure");
}

/** Reads until the end. */
async function drain(stream: MessageStream): Promise<Uint8Array[]> {
  const all = [];
  for await (const message of stream.messages) all.push(message);
  return all;
}

for (const { name, create } of TRANSPORTS) {
  const transport = create();
  Deno.test(`${name}: a call over plaintext`, async (t) => {
    await using peer = await GrpcPeer.start();

    await t.step("bytes go both ways as they are, in order, empty ones too", async () => {
      const stream = await transport.open(target(peer.port), []);
      order(stream, { echo: true });
      const sent = [Uint8Array.of(0, 255, 10), new Uint8Array(0), new Uint8Array(100_000).fill(7)];
      // Sent in one go, before the call can have begun.
      for (let i = 0; i < 200; i++) sent.push(Uint8Array.of(i));
      for (const message of sent) stream.send(message);
      const got: Uint8Array[] = [];
      for await (const message of stream.messages) {
        got.push(message);
        if (got.length === sent.length) break;
      }
      // Plain arrays of bytes, no Buffers.
      assert.deepEqual(got, sent);
    });

    await t.step("messages end when the server ends with OK, and sending goes nowhere then", async () => {
      const stream = await transport.open(target(peer.port), []);
      order(stream, { push: 3, bytes: 10 });
      assert.equal((await drain(stream)).length, 3);
      stream.send(Uint8Array.of(1));
      stream.close();
      stream.close();
    });

    await t.step("the steps are told before they begin", async () => {
      const steps: ConnectStep[] = [];
      const stream = await transport.open(target(peer.port, { onStep: (step) => steps.push(step) }), []);
      stream.close();
      assert.deepEqual(steps, ["DNS", "TCP", "stream"]);
    });

    await t.step("metadata goes out, a token does not without TLS", async () => {
      const file = await Deno.makeTempFile();
      await Deno.writeTextFile(file, "a.b.c");
      const stream = await transport.open(target(peer.port, { tokenFile: file }), [[
        "clusterid",
        "Kubernetes",
      ]]);
      order(stream, { metadata: true });
      for await (const message of stream.messages) {
        const metadata = JSON.parse(decoder.decode(message));
        assert.equal(metadata.clusterid, "Kubernetes");
        assert.equal(metadata.authorization, undefined);
        break;
      }
      await Deno.remove(file);
    });

    await t.step("a message of 70 MB arrives whole", async () => {
      const stream = await transport.open(target(peer.port), []);
      order(stream, { push: 1, bytes: 70 << 20 });
      const [message] = await drain(stream);
      assert.equal(message?.length, 70 << 20);
    });

    await t.step("a message above the limit ends the stream: D208", async () => {
      const stream = await transport.open(target(peer.port, { maxMessageBytes: 1000 }), []);
      order(stream, { push: 1, bytes: 1001 });
      const error = await failureOf(drain(stream));
      assert.equal(error.code, "D208");
      assert.match(error.message, /its answer is too large \(.*1001 vs 1000/);
      assert.match(error.hint, /discovery\.hosts/);
    });

    await t.step("not reading holds the server back", async () => {
      const before = peer.events.filter(({ event }) => event === "pushed").length;
      const pushed = () => peer.events.filter(({ event }) => event === "pushed").length - before;
      const stream = await transport.open(target(peer.port), []);
      order(stream, { push: 60, bytes: 1 << 20 });
      const messages = stream.messages[Symbol.asyncIterator]();
      await messages.next();
      // Time enough for all of it, measured in round trips of another call.
      const other = await transport.open(target(peer.port), []);
      order(other, { echo: true });
      const echoes = other.messages[Symbol.asyncIterator]();
      for (let i = 0; i < 300; i++) {
        other.send(new Uint8Array(64 << 10));
        await echoes.next();
      }
      other.close();
      assert.ok(pushed() < 30, `${pushed()} messages were sent unread`);
      let rest = 1;
      while ((await messages.next()).done !== true) rest++;
      assert.equal(rest, 60);
    });

    await t.step("close ends a reader that waits, and the call at the server", async () => {
      const stream = await transport.open(target(peer.port), []);
      const before = peer.events.filter(({ event }) => event === "cancelled").length;
      order(stream, { echo: true });
      stream.send(Uint8Array.of(1));
      const messages = stream.messages[Symbol.asyncIterator]();
      await messages.next();
      const waiting = messages.next();
      stream.close();
      assert.equal((await waiting).done, true);
      await peer.seen("cancelled", before + 1);
    });

    await t.step("close in the middle of a message", async () => {
      const stream = await transport.open(target(peer.port), []);
      order(stream, { push: 1, bytes: 70 << 20 });
      await peer.seen("call");
      stream.close();
      assert.deepEqual(await drain(stream), []);
    });

    await t.step("opening and closing leaves no descriptor behind", async () => {
      const count = () => Deno.build.os === "linux" ? [...Deno.readDirSync("/proc/self/fd")].length : 0;
      const cycle = async () => {
        const stream = await transport.open(target(peer.port), []);
        order(stream, { push: 1, bytes: 10 });
        for await (const _ of stream.messages) break;
      };
      await cycle();
      const before = count();
      for (let i = 0; i < 100; i++) await cycle();
      assert.ok(count() <= before + 5, `${before} descriptors before, ${count()} after`);
    });

    await t.step("proxy variables are not obeyed", async () => {
      const trap = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const caught = trap.accept().then((conn) => (conn.close(), true), () => false);
      const url = `http://127.0.0.1:${trap.addr.port}`;
      const names = ["http_proxy", "https_proxy", "grpc_proxy", "all_proxy"].flatMap((
        n,
      ) => [n, n.toUpperCase()]);
      for (const name of names) Deno.env.set(name, url);
      try {
        const stream = await transport.open(target(peer.port, { host: "localhost" }), []);
        order(stream, { push: 1, bytes: 10 });
        assert.equal((await drain(stream)).length, 1);
      } finally {
        for (const name of names) Deno.env.delete(name);
        trap.close();
      }
      assert.equal(await caught, false);
    });

    await t.step("what the server says at the end has its code", async () => {
      const expected: [number, string, RegExp][] = [
        [16, "D206", /does not accept who the agent is: Unauthenticated \(told\)$/],
        [7, "D206", /refuses this workload: PermissionDenied \(told\)$/],
        [12, "D207", /does not know the method: Unimplemented \(told\)$/],
        [8, "D208", /is overloaded: ResourceExhausted \(told\)$/],
        [14, "D209", /the stream was lost: Unavailable \(told\)$/],
        [3, "D210", /refuses the request: InvalidArgument \(told\)$/],
        [2, "D210", /refuses the request: Unknown \(told\)$/],
        [9, "D210", /refuses the request: FailedPrecondition \(told\)$/],
      ];
      for (const [status, code, text] of expected) {
        const stream = await transport.open(target(peer.port), []);
        order(stream, { status, details: "told" });
        const error = await failureOf(drain(stream));
        assert.equal(error.code, code);
        assert.match(error.message, text);
        assert.ok(error.message.startsWith(`Cannot open a stream to "grpc://127.0.0.1:${peer.port}": `));
        assert.notEqual(error.hint, "");
      }
    });

    await t.step("a method that the server lacks: D207", async () => {
      const path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
      const stream = await transport.open(target(peer.port, { path }), []);
      stream.send(Uint8Array.of());
      const error = await failureOf(drain(stream));
      assert.equal(error.code, "D207");
      assert.match(error.message, /Unimplemented/);
    });
  });

  Deno.test(`${name}: a server that closes connections of some age: D209 after what it has sent`, async () => {
    await using peer = await GrpcPeer.start({
      channel: { "grpc.max_connection_age_ms": 50, "grpc.max_connection_age_grace_ms": 50 },
    });
    const stream = await transport.open(target(peer.port), []);
    order(stream, { push: 2, bytes: 10, stay: true });
    let got = 0;
    const error = await failureOf((async () => {
      for await (const _ of stream.messages) got++;
    })());
    assert.equal(got, 2);
    assert.equal(error.code, "D209");
    assert.match(error.message, /^Cannot keep the stream of "grpc:/);
  });

  Deno.test(`${name}: a server that dies: D209`, async () => {
    await using peer = await GrpcPeer.start();
    const stream = await transport.open(target(peer.port), []);
    order(stream, { push: 1, bytes: 10, stay: true });
    const error = await failureOf((async () => {
      for await (const _ of stream.messages) peer.kill("SIGKILL");
    })());
    assert.equal(error.code, "D209");
    assert.match(error.message, /the stream was lost/);
  });

  Deno.test(`${name}: a server that freezes does not answer pings: D209`, async () => {
    await using peer = await GrpcPeer.start();
    const stream = await transport.open(target(peer.port, { keepaliveMs: 100 }), []);
    order(stream, { push: 1, bytes: 10, stay: true });
    const error = await failureOf((async () => {
      for await (const _ of stream.messages) peer.kill("SIGSTOP");
    })());
    assert.equal(error.code, "D209");
    assert.match(error.message, /no sign of life/);
  });
}

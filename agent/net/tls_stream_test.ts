/** What becomes of a TLS stream when the one below it breaks; all else is in tests/conformance/byte_stream_test.ts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { AcceptedStream } from "../core/ports.ts";
import { makeCertificate } from "../../tests/harness/certificate.ts";
import { createDialer } from "./dial.ts";
import { listenTcp } from "./listen.ts";
import { secureSocket } from "./tls_connect.ts";
import { secureStream, type TlsStream } from "./tls_stream.ts";

/** What the next read of the stream below gives in place of the wire's bytes. */
type Trouble = (into: Uint8Array) => Promise<number | null>;

interface Pair {
  /** The stream below `near`. */
  readonly wire: AcceptedStream;
  readonly near: TlsStream;
  readonly far: TlsStream;
  /** From the next read below on; the peer is asked to send something, so that there is one. */
  break(trouble: Trouble): Promise<void>;
}

async function withPair(test: (pair: Pair) => Promise<void>): Promise<void> {
  const root = await makeCertificate("root", { authority: true });
  const { cert, key } = await makeCertificate("far.example", { issuer: root });
  const listener = listenTcp({ hostname: "127.0.0.1", port: 0 }, null);
  const [tcp, accepted] = await Promise.all([
    createDialer(null).dial(listener.address, 5000),
    listener.accept(),
  ]);
  let trouble: Trouble | null = null;
  const wire: AcceptedStream = {
    local: tcp.local,
    remote: tcp.remote,
    async read(into) {
      const n = await tcp.read(into);
      return trouble === null ? n : await trouble(into);
    },
    write: (from) => tcp.write(from),
    closeWrite: () => tcp.closeWrite(),
    close: () => tcp.close(),
  };
  const [near, far] = await Promise.all([
    secureStream(wire, (duplex) => secureSocket(duplex, { ca: [root.cert] }, "127.0.0.1", "far.example")),
    secureStream(accepted!, (duplex) =>
      new Promise((resolve, reject) => {
        const secureContext = createSecureContext({ cert, key });
        const socket = new TLSSocket(duplex as unknown as Socket, { isServer: true, secureContext });
        socket.on("error", reject);
        socket.on("secure", () => resolve(socket));
      })),
  ]);
  try {
    await test({
      wire,
      near,
      far,
      async break(next) {
        trouble = next;
        await far.write(Uint8Array.of(1));
      },
    });
  } finally {
    near.close();
    far.close();
    listener.close();
  }
}

const read = (stream: TlsStream) => stream.read(new Uint8Array(16));

Deno.test("tls: a stream below that fails fails the reads and writes above, with its own words", async () => {
  await withPair(async ({ near, break: breakBelow }) => {
    const reading = read(near);
    await Promise.all([
      assert.rejects(reading, { message: "the wire was cut" }),
      breakBelow(() => Promise.reject(new Error("the wire was cut"))),
    ]);
    await assert.rejects(read(near), { message: "the wire was cut" });
    await assert.rejects(near.write(Uint8Array.of(1)), { message: "the wire was cut" });
  });
});

Deno.test("tls: bytes that are no record of TLS fail the reads, with what is wrong", async () => {
  await withPair(async ({ near, break: breakBelow }) => {
    const reading = read(near);
    await Promise.all([
      assert.rejects(reading, (error: Error) => {
        assert.doesNotMatch(error.message, /closed/);
        return true;
      }),
      breakBelow((into) => Promise.resolve(into.fill(0x2a, 0, 100).length && 100)),
    ]);
  });
});

Deno.test("tls: what came before the trouble is read first", async () => {
  await withPair(async ({ near, far, break: breakBelow }) => {
    await far.write(Uint8Array.of(7));
    assert.equal(await read(near), 1);
    await far.write(Uint8Array.of(8, 9));
    const into = new Uint8Array(1);
    assert.equal(await near.read(into), 1);
    await breakBelow(() => Promise.reject(new Error("the wire was cut")));
    assert.equal(await near.read(into), 1);
    assert.equal(into[0], 9);
    await assert.rejects(read(near), { message: "the wire was cut" });
  });
});

Deno.test("tls: a secure socket that closes without a word fails the read", async () => {
  await withPair(async ({ near }) => {
    const reading = read(near);
    near.socket.destroy();
    await assert.rejects(reading, { message: "The stream is closed" });
  });
});

Deno.test("tls: one that failed before it was a stream fails the first read, with its words", async () => {
  await withPair(async ({ wire, near: { socket } }) => {
    socket.destroy(new Error("too early"));
    await assert.rejects(once(socket, "close"), { message: "too early" });
    const stream = await secureStream(wire, () => Promise.resolve(socket));
    await assert.rejects(read(stream), { message: "too early" });
    stream.close();
  });
});

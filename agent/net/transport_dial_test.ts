import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import { type ConnectStep, NoAnswer, type StreamTarget } from "../core/ports.ts";
import { makeCertificate } from "../../tests/harness/certificate.ts";
import { GrpcPeer } from "../../tests/harness/grpc_peer.ts";
import { type TransportKind, TRANSPORTS } from "../../tests/harness/transports.ts";

function target(port: number, more: Partial<StreamTarget> = {}): StreamTarget {
  return {
    host: "127.0.0.1",
    port,
    path: "/peer/Call",
    maxMessageBytes: 1 << 20,
    keepaliveMs: 0,
    connectTimeoutMs: 5000,
    onStep() {},
    ...more,
  };
}

async function failureOf(
  create: TransportKind["create"],
  wanted: StreamTarget,
  resolve?: (host: string, signal: AbortSignal) => Promise<readonly string[]>,
): Promise<MeshError> {
  const transport = create(resolve === undefined ? {} : { resolve });
  try {
    (await transport.open(wanted, [])).close();
  } catch (error) {
    assert.ok(error instanceof MeshError, String(error));
    return error;
  }
  assert.fail("it was opened");
}

/** A plain TCP server that does the same to each connection; ends with the test. */
function serve(
  handle: (conn: Deno.TcpConn) => Promise<void> | void,
): Disposable & { port: number; accepted: number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.TcpConn[] = [];
  const server = {
    port: listener.addr.port,
    accepted: 0,
    [Symbol.dispose]() {
      listener.close();
      for (const conn of conns) {
        try {
          conn.close();
        } catch {
          // The handler has closed it.
        }
      }
    },
  };
  (async () => {
    for await (const conn of listener) {
      server.accepted++;
      conns.push(conn);
      (async () => await handle(conn))().catch(() => {});
    }
  })();
  return server;
}

/** A port that nobody listens on. */
function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

/** Reads frames after the connection preface until one of the type came. */
async function readUntil(conn: Deno.Conn, type: number): Promise<void> {
  const buffer = new Uint8Array(16 << 10);
  let [filled, at] = [0, 24];
  while (true) {
    while (filled >= at + 9) {
      if (buffer[at + 3] === type) return;
      at += 9 +
        (((buffer[at] as number) << 16) | ((buffer[at + 1] as number) << 8) | (buffer[at + 2] as number));
    }
    const n = await conn.read(buffer.subarray(filled));
    if (n === null) throw new Error("the client closed");
    filled += n;
  }
}

/** HTTP/2 frames: types, and the GOAWAY of a grpc server that counts pings (code ENHANCE_YOUR_CALM). */
const [HEADERS, SETTINGS, GOAWAY] = [1, 4, 7];
const SETTINGS_FRAME = Uint8Array.of(0, 0, 0, SETTINGS, 0, 0, 0, 0, 0);

for (const { name, create } of TRANSPORTS) {
  Deno.test(`${name}: a name without an address: D201 names it and the setting`, async () => {
    const steps: ConnectStep[] = [];
    const wanted = target(15010, { host: "istio-pilot.nowhere.invalid", onStep: (step) => steps.push(step) });
    const error = await failureOf(create, wanted, () => Promise.reject(new Error("no record")));
    assert.equal(error.code, "D201");
    assert.equal(
      error.message,
      'Cannot resolve "istio-pilot.nowhere.invalid": the name has no address; want a name that can be resolved',
    );
    assert.match(error.hint, /service\.registry\.serviceDiscovery\.address/);
    assert.deepEqual(steps, ["DNS"]);
  });

  Deno.test(`${name}: a name server that is away: D201 says so`, async () => {
    const away = new NoAnswer("the name server cannot be reached");
    const error = await failureOf(create, target(15010, { host: "istiod" }), () => Promise.reject(away));
    assert.equal(error.code, "D201");
    assert.match(error.message, /^Cannot resolve "istiod": the name server cannot be reached; want/);
  });

  Deno.test(`${name}: a name server that does not answer: D201 within connectTimeout`, async () => {
    let gone: AbortSignal | undefined;
    const error = await failureOf(
      create,
      target(15010, { host: "istiod", connectTimeoutMs: 50 }),
      (_host, signal) => {
        gone = signal;
        return new Promise(() => {});
      },
    );
    assert.equal(error.code, "D201");
    assert.match(error.message, /no answer from the name server within 50 ms/);
    assert.equal(gone?.aborted, true);
  });

  Deno.test(`${name}: a refused connection: D202`, async () => {
    const port = freePort();
    const error = await failureOf(create, target(port));
    assert.equal(error.code, "D202");
    assert.equal(
      error.message,
      `Cannot connect to "grpc://127.0.0.1:${port}": connection refused; want a control plane listening there`,
    );
    assert.match(error.hint, /host and port in service\.registry\.serviceDiscovery\.address/);
  });

  Deno.test(`${name}: addresses of a name are tried in turn`, async (t) => {
    await using peer = await GrpcPeer.start();
    const addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.1"];

    await t.step("the first that answers is taken", async () => {
      const transport = create({ resolve: () => Promise.resolve(addresses) });
      const stream = await transport.open(target(peer.port, { host: "istiod" }), []);
      stream.send(new TextEncoder().encode('{"push":1,"bytes":3}'));
      const got = [];
      for await (const message of stream.messages) got.push(message.length);
      assert.deepEqual(got, [3]);
    });

    await t.step("when none does, each has its reason", async () => {
      const wanted = target(peer.port, { host: "istiod" });
      const error = await failureOf(create, wanted, () => Promise.resolve(addresses.slice(0, 2)));
      assert.equal(error.code, "D202");
      assert.ok(
        error.message.includes("connection refused (127.0.0.2), connection refused (127.0.0.3)"),
        error.message,
      );
    });

    await t.step("one that is silent does not use up the time of the next", async () => {
      using silent = Deno.listen({ hostname: "127.0.0.4", port: peer.port });
      const transport = create({ resolve: () => Promise.resolve(["127.0.0.4", "127.0.0.1"]) });
      const stream = await transport.open(target(peer.port, { host: "istiod", connectTimeoutMs: 1000 }), []);
      stream.close();
      assert.equal(silent.addr.transport, "tcp");
    });
  });

  Deno.test(`${name}: a server that accepts and says nothing: D209 within connectTimeout`, async () => {
    using server = serve(() => {});
    const error = await failureOf(create, target(server.port, { connectTimeoutMs: 100 }));
    assert.equal(error.code, "D209");
    assert.match(
      error.message,
      /^Cannot open a stream to "grpc:.*": no sign of life after connecting within 100 ms/,
    );
  });

  Deno.test(`${name}: an open that is given up releases everything at once`, async () => {
    const controller = new AbortController();
    using server = serve(() => controller.abort());
    const error = await failureOf(create, target(server.port, { signal: controller.signal }));
    assert.match(error.message, /given up/);
  });

  Deno.test(`${name}: a connection that nobody takes is given up with its descriptor: D202`, async () => {
    // A full backlog lets further connections hang in SYN-SENT.
    const listener = new Deno.Command("node", {
      args: [
        "-e",
        'const s=require("net").createServer();s.listen({port:0,host:"127.0.0.1",backlog:1},()=>{console.log(s.address().port);' +
        'require("child_process").execSync("sleep 60")})',
      ],
      stdout: "piped",
      stderr: "null",
      stdin: "null",
    }).spawn();
    const reader = listener.stdout.getReader();
    const port = Number(new TextDecoder().decode((await reader.read()).value));
    const fill = [];
    for (let i = 0; i < 4; i++) {
      const controller = new AbortController();
      fill.push({ controller, conn: Deno.connect({ port, signal: controller.signal }).catch(() => null) });
    }
    try {
      const error = await failureOf(create, target(port, { connectTimeoutMs: 100 }));
      assert.equal(error.code, "D202");
      assert.match(error.message, /^Cannot connect to "grpc:.*": no answer within 100 ms/);
    } finally {
      for (const { controller, conn } of fill) {
        controller.abort();
        (await conn)?.close();
      }
      listener.kill("SIGKILL");
      await reader.cancel();
      await listener.status;
    }
  });

  Deno.test(`${name}: an HTTP/1.1 server on the port: D205 quotes its answer`, async () => {
    using server = serve(async (conn) => {
      const buffer = new Uint8Array(1024);
      await conn.read(buffer);
      await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"));
      conn.closeWrite();
    });
    const error = await failureOf(create, target(server.port));
    assert.equal(error.code, "D205");
    assert.match(
      error.message,
      /^Cannot open a stream to "grpc:.*": it speaks HTTP\/1\.1 \(HTTP\/1\.1 400 Bad Request\); want a plaintext gRPC port \(15010\)$/,
    );
    assert.match(error.hint, /scheme and port in service\.registry\.serviceDiscovery\.address/);
  });

  Deno.test(`${name}: a server that closes at once: D205`, async () => {
    using server = serve((conn) => conn.close());
    const error = await failureOf(create, target(server.port));
    assert.equal(error.code, "D205");
    assert.match(error.message, /it accepts connections and closes them/);
  });

  Deno.test(`${name}: grpc:// to a TLS port: D205 says so`, async () => {
    const { cert, key } = await makeCertificate("istiod.istio-system.svc");
    await using peer = await GrpcPeer.start({ cert, key });
    const error = await failureOf(create, target(peer.port));
    assert.equal(error.code, "D205");
    assert.match(
      error.message,
      /^Cannot open a stream to "grpc:.*": it speaks TLS; want grpcs:\/\/ for a TLS port$/,
    );
  });

  Deno.test(`${name}: too many pings: D209 says so`, async () => {
    using server = serve(async (conn) => {
      await conn.write(SETTINGS_FRAME);
      await readUntil(conn, HEADERS);
      const data = new TextEncoder().encode("too_many_pings");
      const head = [0, 0, 8 + data.length, GOAWAY, 0, 0, 0, 0, 0];
      await conn.write(Uint8Array.from([...head, ...[0, 0, 0, 1], ...[0, 0, 0, 11], ...data]));
      conn.close();
    });
    const stream = await create().open(target(server.port), []);
    await assert.rejects(async () => {
      for await (const _ of stream.messages);
    }, (error: MeshError) => {
      assert.equal(error.code, "D209");
      assert.match(error.message, /too many pings/);
      return true;
    });
  });
}

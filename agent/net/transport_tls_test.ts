import assert from "node:assert/strict";
import { join } from "node:path";
import { MeshError } from "../core/errors.ts";
import type { ConnectStep, StreamTarget, TlsTarget } from "../core/ports.ts";
import { makeCertificate } from "../../tests/harness/certificate.ts";
import { GrpcPeer } from "../../tests/harness/grpc_peer.ts";
import { type TransportKind, TRANSPORTS } from "../../tests/harness/transports.ts";

const DAY = 86_400_000;
const NAME = "istiod.istio-system.svc";
const SPIFFE = "spiffe://cluster.local/ns/istio-system/sa/istiod";
const TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJpc3Rpby1jYSJ9.c2lnbmF0dXJl";

const authority = await makeCertificate("mesh root", { authority: true });
const other = await makeCertificate(NAME);
const names = [`DNS:${NAME}`, `URI:${SPIFFE}`];
const server = await makeCertificate(NAME, { issuer: authority, names });
const client = await makeCertificate("a", {
  issuer: authority,
  names: ["URI:spiffe://cluster.local/ns/a/sa/b"],
});

/** A directory of files, gone at the end. */
class Files implements AsyncDisposable {
  private constructor(readonly directory: string) {}

  static async make(files: Readonly<Record<string, string>>): Promise<Files> {
    const made = new Files(await Deno.makeTempDir());
    for (const [name, text] of Object.entries(files)) await made.write(name, text);
    return made;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  async write(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(this.path(name), text);
  }

  /** As discovery.certDirectory has it. */
  tls(more: Partial<TlsTarget> = {}): TlsTarget {
    return {
      rootCertificate: this.path("root-cert.pem"),
      clientCertificate: this.path("cert-chain.pem"),
      clientKey: this.path("key.pem"),
      serverName: NAME,
      ...more,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

const BOTH = { "root-cert.pem": authority.cert, "cert-chain.pem": client.cert, "key.pem": client.key };

function target(port: number, more: Partial<StreamTarget>): StreamTarget {
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

/** The metadata that the server received. */
async function askMetadata(
  create: TransportKind["create"],
  wanted: StreamTarget,
): Promise<Record<string, string>> {
  const stream = await create().open(wanted, [["clusterid", "Kubernetes"]]);
  stream.send(new TextEncoder().encode('{"metadata":true}'));
  for await (const message of stream.messages) return JSON.parse(new TextDecoder().decode(message));
  assert.fail("no answer");
}

async function failureOf(create: TransportKind["create"], wanted: StreamTarget): Promise<MeshError> {
  try {
    await askMetadata(create, wanted);
  } catch (error) {
    assert.ok(error instanceof MeshError, String(error));
    return error;
  }
  assert.fail("it was opened");
}

for (const { name, create } of TRANSPORTS) {
  Deno.test(`${name}: TLS with a client certificate`, async (t) => {
    await using peer = await GrpcPeer.start({ cert: server.cert, key: server.key, ca: authority.cert });

    await t.step("is accepted, all steps are told", async () => {
      await using files = await Files.make({ ...BOTH, token: `${TOKEN}\n` });
      const steps: ConnectStep[] = [];
      const wanted = target(peer.port, {
        tls: files.tls(),
        tokenFile: files.path("token"),
        onStep: (step) => steps.push(step),
      });
      const metadata = await askMetadata(create, wanted);
      assert.equal(metadata.authorization, `Bearer ${TOKEN}`);
      assert.equal(metadata.clusterid, "Kubernetes");
      assert.deepEqual(steps, ["DNS", "TCP", "TLS", "token", "stream"]);
    });

    await t.step("does without the token file", async () => {
      await using files = await Files.make(BOTH);
      const metadata = await askMetadata(
        create,
        target(peer.port, { tls: files.tls(), tokenFile: files.path("token") }),
      );
      assert.equal(metadata.authorization, undefined);
    });

    await t.step("does not do without a token file that is there and empty", async () => {
      await using files = await Files.make({ ...BOTH, token: "" });
      const error = await failureOf(
        create,
        target(peer.port, { tls: files.tls(), tokenFile: files.path("token") }),
      );
      assert.equal(error.code, "D204");
      assert.match(error.message, /is empty; want one JWT in it$/);
    });

    await t.step("a SPIFFE id is a server name too", async () => {
      await using files = await Files.make(BOTH);
      await askMetadata(create, target(peer.port, { tls: files.tls({ serverName: SPIFFE }) }));
      const error = await failureOf(
        create,
        target(peer.port, { tls: files.tls({ serverName: `${SPIFFE}2` }) }),
      );
      assert.equal(error.code, "D203");
      assert.ok(error.message.includes(`want "${SPIFFE}2"`), error.message);
    });

    await t.step("another name in the certificate: D203 tells both", async () => {
      await using files = await Files.make(BOTH);
      const error = await failureOf(
        create,
        target(peer.port, { tls: files.tls({ serverName: "istio-pilot.istio-system" }) }),
      );
      assert.equal(error.code, "D203");
      assert.equal(
        error.message,
        `Cannot set up TLS to "grpcs://127.0.0.1:${peer.port}": its certificate is made out for "${NAME}", "${SPIFFE}"; ` +
          `want "istio-pilot.istio-system"`,
      );
      assert.match(error.hint, /discovery\.serverName/);
    });

    await t.step("the host of the address is the name when none is set", async () => {
      await using files = await Files.make(BOTH);
      const { serverName: _, ...tls } = files.tls();
      const error = await failureOf(create, target(peer.port, { tls }));
      assert.match(error.message, /want "127\.0\.0\.1"$/);
    });

    await t.step("an unknown root: D203", async () => {
      await using files = await Files.make({ ...BOTH, "root-cert.pem": other.cert });
      const error = await failureOf(create, target(peer.port, { tls: files.tls() }));
      assert.equal(error.code, "D203");
      assert.match(error.message, /its certificate does not chain to the root certificate/);
      assert.match(error.hint, /root-cert\.pem of discovery\.certDirectory/);
    });

    await t.step("a client certificate of another mesh: D203", async () => {
      await using files = await Files.make({ ...BOTH, "cert-chain.pem": other.cert, "key.pem": other.key });
      const error = await failureOf(create, target(peer.port, { tls: files.tls() }));
      assert.equal(error.code, "D203");
      assert.match(error.message, /client certificate/);
    });

    await t.step("none, where one is wanted: D203", async () => {
      await using files = await Files.make({ ...BOTH, token: TOKEN });
      await Deno.remove(files.path("cert-chain.pem"));
      await Deno.remove(files.path("key.pem"));
      const error = await failureOf(
        create,
        target(peer.port, { tls: files.tls(), tokenFile: files.path("token") }),
      );
      assert.equal(error.code, "D203");
      // The server's alert may get lost with the connection.
      assert.match(error.message, /it wants a client certificate$|without a client certificate; want/);
      assert.match(error.hint, /discovery\.certDirectory/);
    });

    await t.step("files are read again on every open", async () => {
      await using files = await Files.make({ ...BOTH, "root-cert.pem": other.cert, token: "first" });
      const wanted = target(peer.port, { tls: files.tls(), tokenFile: files.path("token") });
      assert.equal((await failureOf(create, wanted)).code, "D203");
      await files.write("root-cert.pem", `${other.cert}\n${authority.cert}`);
      assert.equal((await askMetadata(create, wanted)).authorization, "Bearer first");
      await files.write("token", "second");
      assert.equal((await askMetadata(create, wanted)).authorization, "Bearer second");
    });
  });

  Deno.test(`${name}: TLS with a token`, async (t) => {
    await using peer = await GrpcPeer.start({ cert: server.cert, key: server.key });
    const only = { "root-cert.pem": authority.cert };

    await t.step("needs no client certificate", async () => {
      await using files = await Files.make({ ...only, token: TOKEN });
      const wanted = target(peer.port, { tls: files.tls(), tokenFile: files.path("token") });
      assert.equal((await askMetadata(create, wanted)).authorization, `Bearer ${TOKEN}`);
    });

    await t.step("messages of tens of MB arrive whole, and a server that dies is told", async () => {
      await using mortal = await GrpcPeer.start({ cert: server.cert, key: server.key });
      await using files = await Files.make({ ...only, token: TOKEN });
      const more = { tls: files.tls(), tokenFile: files.path("token"), maxMessageBytes: 64 << 20 };
      const stream = await create().open(target(mortal.port, more), []);
      stream.send(new TextEncoder().encode(`{"push":3,"bytes":${10 << 20},"stay":true}`));
      const lengths: number[] = [];
      await assert.rejects(async () => {
        for await (const message of stream.messages) {
          assert.deepEqual([message[0], message.at(-1)], [lengths.length, lengths.length]);
          if (lengths.push(message.length) === 3) mortal.kill("SIGKILL");
        }
      }, (error: MeshError) => {
        assert.equal(error.code, "D209");
        assert.match(error.message, /^Cannot keep the stream of "grpcs:.*": the stream was lost/);
        return true;
      });
      assert.deepEqual(lengths, [10 << 20, 10 << 20, 10 << 20]);
    });

    await t.step("missing, empty or no token: D204 before anything is dialed", async () => {
      await using files = await Files.make({ ...only, empty: " \n", odd: "two words" });
      const expected = [
        ["none", "does not exist"],
        ["empty", "is empty"],
        ["odd", "has blanks or other characters that no token has"],
      ];
      for (const [name, state] of expected as [string, string][]) {
        const steps: ConnectStep[] = [];
        const tokenFile = files.path(name);
        const error = await failureOf(
          create,
          target(peer.port, { tls: files.tls(), tokenFile, onStep: (step) => steps.push(step) }),
        );
        assert.equal(error.code, "D204");
        assert.equal(
          error.message,
          `Cannot prove the agent's identity to "grpcs://127.0.0.1:${peer.port}": ` +
            `token file "${tokenFile}" ${state}; want one JWT in it`,
        );
        assert.match(error.hint, /discovery\.tokenFile/);
        assert.deepEqual(steps, ["token"]);
      }
    });

    await t.step("neither certificate nor token file: D203 before anything is dialed", async () => {
      await using files = await Files.make(only);
      const steps: ConnectStep[] = [];
      const error = await failureOf(
        create,
        target(peer.port, { tls: files.tls(), onStep: (step) => steps.push(step) }),
      );
      assert.equal(error.code, "D203");
      assert.match(error.message, /cert-chain\.pem" does not exist and no token file is set/);
      assert.deepEqual(steps, ["TLS"]);
    });

    await t.step("the token is in no message, even when the server repeats it", async () => {
      await using files = await Files.make({ ...only, token: TOKEN });
      const wanted = target(peer.port, { tls: files.tls(), tokenFile: files.path("token") });
      const stream = await create().open(wanted, []);
      stream.send(
        new TextEncoder().encode(JSON.stringify({ status: 16, details: `bad token ${TOKEN} of a` })),
      );
      await assert.rejects(async () => {
        for await (const _ of stream.messages);
      }, (error: MeshError) => {
        assert.equal(error.code, "D206");
        assert.match(error.message, /Unauthenticated \(bad token … of a\)$/);
        assert.match(error.hint, /discovery\.tokenFile/);
        return true;
      });
    });
  });

  Deno.test(`${name}: files that TLS cannot work with: D203 names them before anything is dialed`, async () => {
    const expected: [Record<string, string | null>, RegExp][] = [
      [{ "root-cert.pem": null }, /root certificate file ".*root-cert\.pem" does not exist; want PEM$/],
      [{ "root-cert.pem": "" }, /root certificate file ".*root-cert\.pem" is empty/],
      [{ "root-cert.pem": "hello" }, /root certificate file ".*root-cert\.pem" has no certificate/],
      [{ "cert-chain.pem": null }, /client certificate file ".*cert-chain\.pem" does not exist; want PEM$/],
      [{ "key.pem": null }, /client key file ".*key\.pem" does not exist/],
      [{ "cert-chain.pem": "x" }, /client certificate file ".*cert-chain\.pem" has no certificate/],
      [{ "key.pem": "x" }, /client key file ".*key\.pem" has no private key that can be read/],
      [
        { "key.pem": other.key },
        /client key file ".*key\.pem" does not belong to the certificate in ".*cert-chain\.pem"/,
      ],
    ];
    for (const [changes, text] of expected) {
      await using files = await Files.make(BOTH);
      for (const [name, content] of Object.entries(changes)) {
        if (content === null) await Deno.remove(files.path(name));
        else await files.write(name, content);
      }
      const steps: ConnectStep[] = [];
      const error = await failureOf(
        create,
        target(1, { tls: files.tls(), onStep: (step) => steps.push(step) }),
      );
      assert.equal(error.code, "D203");
      assert.match(error.message, text);
      assert.match(error.hint, /discovery\.certDirectory/);
      assert.deepEqual(steps, ["TLS"]);
    }
  });

  Deno.test(`${name}: a root that cannot be read: D203`, async () => {
    await using files = await Files.make({});
    const error = await failureOf(create, target(1, { tls: { rootCertificate: files.directory } }));
    assert.equal(error.code, "D203");
    assert.match(error.message, /root certificate file ".*" cannot be read/);
  });

  Deno.test(`${name}: a certificate out of its time: D203 tells the time`, async () => {
    const now = Date.now();
    const times: [{ fromMs: number; toMs: number }, RegExp][] = [
      [
        { fromMs: now - 9 * DAY, toMs: now - DAY },
        /its certificate expired at .*; want one that is valid now$/,
      ],
      [{ fromMs: now + DAY, toMs: now + 9 * DAY }, /its certificate is not valid before .*; want one/],
    ];
    for (const [validity, text] of times) {
      const stale = await makeCertificate(NAME, { issuer: authority, names, ...validity });
      await using peer = await GrpcPeer.start({ cert: stale.cert, key: stale.key });
      await using files = await Files.make(BOTH);
      const error = await failureOf(create, target(peer.port, { tls: files.tls() }));
      assert.equal(error.code, "D203");
      assert.match(error.message, text);
    }
  });

  Deno.test(`${name}: grpcs:// to a plaintext port: D205 says what it speaks`, async (t) => {
    await using files = await Files.make(BOTH);

    await t.step("gRPC", async () => {
      await using peer = await GrpcPeer.start();
      const error = await failureOf(create, target(peer.port, { tls: files.tls() }));
      assert.equal(error.code, "D205");
      assert.equal(
        error.message,
        `Cannot set up TLS to "grpcs://127.0.0.1:${peer.port}": it speaks plaintext HTTP/2, not TLS; want grpc:// for a plaintext port`,
      );
    });

    await t.step("HTTP/1.1", async () => {
      const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
      const serving = (async () => {
        for await (const conn of listener) {
          await conn.read(new Uint8Array(1000)).catch(() => null);
          await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")).catch(() => 0);
          conn.close();
        }
      })().catch(() => {});
      const error = await failureOf(create, target(listener.addr.port, { tls: files.tls() }));
      listener.close();
      await serving;
      assert.equal(error.code, "D205");
      assert.match(
        error.message,
        /it does not speak TLS; it speaks HTTP\/1\.1 \(HTTP\/1\.1 400 Bad Request\)/,
      );
    });

    await t.step("silence", async () => {
      using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
      const wanted = target(listener.addr.port, { tls: files.tls(), connectTimeoutMs: 100 });
      const error = await failureOf(create, wanted);
      assert.equal(error.code, "D203");
      assert.match(error.message, /no answer to the TLS handshake within 100 ms/);
    });
  });
}

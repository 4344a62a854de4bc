/** One listener, told apart by the first bytes: HTTP/1.1, HTTP/2, TLS, and what is none of them. */
import assert from "node:assert/strict";
import { PREFACE } from "../../agent/wire/http2/frames.ts";
import { bytesOf, textOf, until, within } from "../harness/bytes.ts";
import { RawClient } from "../harness/client.ts";
import { startRig } from "../harness/rig.ts";
import { answering, startUpstream } from "../harness/upstream.ts";

Deno.test("the preface of HTTP/2 may come byte by byte", async () => {
  await using rig = startRig("native");
  const conn = await Deno.connect(rig.address);
  for (const byte of PREFACE) await conn.write(Uint8Array.of(byte));
  await conn.write(bytesOf("\0\0\0\x04\0\0\0\0\0"));
  const buf = new Uint8Array(200);
  await within(conn.read(buf), "SETTINGS");
  assert.equal(buf[3], 4);
  conn.close();
});

Deno.test("PUT and POST may come byte by byte, too", async () => {
  await using upstream = startUpstream(answering());
  await using rig = startRig("native");
  rig.serve(upstream.port);
  for (const method of ["PUT", "POST"]) {
    using client = await RawClient.connect(rig.address);
    for (const c of `${method} / HTTP/1.1\r\nHost: svc.test\r\nConnection: close\r\n\r\n`) {
      await client.send(c);
    }
    assert.match(await within(client.toEnd(), "the answer"), /^HTTP\/1.1 200 /);
  }
});

for (const line of ["INVALID CONNECTION PREFACE", "* OK IMAP4rev1"]) {
  Deno.test(`RFC 9113 3.4: "${line}" is closed without a word that its sender could not read`, async () => {
    await using rig = startRig("native");
    using client = await RawClient.connect(rig.address);
    await client.send(`${line}\r\n\r\n`);
    assert.equal(await within(client.toEnd(), "the end"), "");
    await until(() => rig.records.length === 1, "the record");
    assert.deepEqual([rig.records[0]!.status, rig.records[0]!.flags], [0, "DPE"]);
  });
}

Deno.test("on a connection that spoke HTTP before, the same is answered 400", async () => {
  await using upstream = startUpstream(answering());
  await using rig = startRig("native");
  rig.serve(upstream.port);
  using client = await RawClient.connect(rig.address);
  await client.ask("GET / HTTP/1.1\r\nHost: svc.test\r\n\r\n");
  await client.send("INVALID CONNECTION PREFACE\r\n\r\n");
  assert.match(await within(client.toEnd(), "the end"), /^HTTP\/1.1 400 /);
});

// ---------------------------------------------------------------- TLS without CONNECT

/** Starts a TLS handshake through the agent. */
async function startTls(port: number, name: string): Promise<void> {
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port });
  const tls = await Deno.startTls(tcp, { hostname: name });
  try {
    await tls.handshake();
  } finally {
    tls.close();
  }
}

Deno.test("a ClientHello goes to the service that it names, byte for byte", async () => {
  const got = Promise.withResolvers<Uint8Array>();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    const conn = await listener.accept();
    const buf = new Uint8Array(4096);
    const n = await conn.read(buf);
    got.resolve(buf.slice(0, n ?? 0));
    conn.close();
  })();
  await using rig = startRig("native");
  rig.serve(listener.addr.port);
  await assert.rejects(within(startTls(rig.address.port, "svc.test"), "the end of the handshake"));
  const hello = await got.promise;
  assert.equal(hello[0], 22);
  assert.match(textOf(hello), /svc\.test/);
  await until(() => rig.records.length === 1, "the record");
  const [record] = rig.records;
  assert.deepEqual(
    [record!.protocol, record!.authority, record!.upstreamCluster],
    ["TCP", "svc.test:80", "outbound|80||svc.test"],
  );
  assert.ok(record!.bytesReceived >= hello.length);
  await serving;
  listener.close();
});

for (const [what, name] of [["nobody knows", "nobody.invalid"], ["is not named", "127.0.0.1"]] as const) {
  Deno.test(`a ClientHello for a host that ${what} ends, also where strangers are let through`, async () => {
    await using rig = startRig("native");
    await assert.rejects(within(startTls(rig.address.port, name), "the end of the handshake"));
    await until(() => rig.records.length === 1, "the record");
    const [record] = rig.records;
    assert.deepEqual([record!.flags, record!.details, record!.attempts], [
      "NR",
      "filter_chain_not_found",
      [],
    ]);
    await until(() => rig.open.downstream === 0, "the end of the connection");
  });
}

import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import { createDialer } from "./dial.ts";
import { systemResolver } from "./dns.ts";
import { listenTcp } from "./listen.ts";
import { ReadGate } from "./read_gate.ts";

Deno.test("dial: refused is P303, and says so", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  await assert.rejects(createDialer().dial({ hostname: "127.0.0.1", port }, 1000), (error) => {
    assert.ok(error instanceof MeshError);
    assert.equal(error.code, "P303");
    assert.equal(error.retry, "connect-failure");
    assert.match(error.message, /connection refused/);
    return true;
  });
});

Deno.test("listen and dial: bytes, half-close and close", async () => {
  const listener = listenTcp({ hostname: "127.0.0.1", port: 0 });
  const [near, far] = await Promise.all([createDialer().dial(listener.address, 1000), listener.accept()]);
  assert.ok(far !== null);
  assert.equal(far.remote.port, near.local.port);
  await near.write(new Uint8Array([1, 2, 3]));
  await near.closeWrite();
  const into = new Uint8Array(8);
  assert.equal(await far.read(into), 3);
  assert.equal(await far.read(into), null);
  near.close();
  near.close();
  far.close();
  const pending = listener.accept();
  listener.close();
  assert.equal(await pending, null);
});

Deno.test("resolve: literals and localhost need no name server", async () => {
  assert.deepEqual(await systemResolver.resolve("192.0.2.1"), ["192.0.2.1"]);
  assert.deepEqual(await systemResolver.resolve("a.localhost"), ["127.0.0.1"]);
});

Deno.test("read gate: the first 64 reads of a turn pass, the rest follow in order after the driver turned", async () => {
  const gate = await ReadGate.open();
  try {
    for (let i = 0; i < 64; i++) assert.equal(gate.admit(1), true);
    const order: number[] = [];
    const waiting: Promise<void>[] = [];
    for (let i = 0; i < 100; i++) {
      assert.equal(gate.admit(1), false);
      waiting.push(gate.wait().then(() => void order.push(i)));
    }
    await Promise.all(waiting);
    assert.deepEqual(order, Array.from({ length: 100 }, (_, i) => i));
  } finally {
    gate.close();
  }
});

Deno.test("read gate: closing lets everyone go", async () => {
  const gate = await ReadGate.open();
  while (gate.admit(1));
  const waiting = gate.wait();
  gate.close();
  await waiting;
  assert.equal(gate.admit(1), true);
});

import assert from "node:assert/strict";
import { createTurns } from "./turn.ts";

Deno.test("turns: a socket that is ready runs within one turn", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [near, far] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  const turns = createTurns();
  try {
    await turns.next();
    for (let i = 0; i < 20; i++) {
      let got = false;
      const reading = far.read(new Uint8Array(8)).then(() => got = true);
      await near.write(new Uint8Array(1));
      await turns.next();
      assert.equal(got, true);
      await reading;
    }
  } finally {
    for (const one of [near, far, listener, turns]) one.close();
  }
});

Deno.test("turns: who asks during a turn gets the same one", async () => {
  const turns = createTurns();
  const first = turns.next();
  assert.equal(turns.next(), first);
  await first;
  const second = turns.next();
  assert.notEqual(second, first);
  await second;
  turns.close();
});

Deno.test("turns: closed while the first one opens its connection, and asked after that", async () => {
  const turns = createTurns();
  const first = turns.next();
  turns.close();
  await first;
  await turns.next();
  turns.close();
});

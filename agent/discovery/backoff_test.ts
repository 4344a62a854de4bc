import assert from "node:assert/strict";
import { createBackoff } from "./backoff.ts";

Deno.test("quick waits: the bound doubles from 500 ms to 30 s, the wait is anything below it", () => {
  const highest = createBackoff(() => 1);
  assert.deepEqual(
    Array.from({ length: 8 }, () => highest.next("quick")),
    [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000],
  );
  const lowest = createBackoff(() => 0);
  assert.deepEqual([lowest.next("quick"), lowest.next("quick")], [0, 0]);
});

Deno.test("slow waits: half of the bound is fixed, it doubles from 30 s to 5 minutes", () => {
  const highest = createBackoff(() => 1);
  assert.deepEqual(
    Array.from({ length: 5 }, () => highest.next("slow")),
    [30_000, 60_000, 120_000, 240_000, 300_000],
  );
  const lowest = createBackoff(() => 0);
  assert.deepEqual([lowest.next("slow"), lowest.next("slow")], [15_000, 30_000]);
});

Deno.test("a reset begins with the first wait again; a thousand tries do not overflow", () => {
  const backoff = createBackoff(() => 1);
  for (let i = 0; i < 1000; i++) assert.ok(backoff.next("quick") <= 30_000);
  backoff.reset();
  assert.equal(backoff.next("quick"), 500);
});

Deno.test("waits after a loss: the bound doubles from 500 ms to 5 s; a sync takes back the others, a reset these too", () => {
  const backoff = createBackoff(() => 1);
  const lost = () => backoff.next("lost");
  assert.deepEqual([lost(), lost(), lost(), lost(), lost()], [500, 1000, 2000, 4000, 5000]);
  backoff.next("quick");
  backoff.next("slow");
  backoff.synced();
  assert.deepEqual([backoff.next("quick"), backoff.next("slow"), lost()], [500, 30_000, 5000]);
  backoff.reset();
  assert.equal(lost(), 500);
});

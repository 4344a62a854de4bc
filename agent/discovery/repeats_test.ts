import assert from "node:assert/strict";
import { ManualClock } from "../../tests/harness/clock.ts";
import { createRepeatFilter, REPEAT_MS } from "./repeats.ts";

Deno.test("the same text about a subject is fresh once, and again after five minutes", () => {
  const clock = new ManualClock();
  const repeats = createRepeatFilter(clock);
  assert.equal(repeats.fresh("a", "refused"), true);
  assert.equal(repeats.fresh("a", "refused"), false);
  assert.equal(repeats.fresh("b", "refused"), true);
  assert.equal(repeats.fresh("a", "no answer"), true);
  clock.advance(REPEAT_MS - 1);
  assert.equal(repeats.fresh("a", "no answer"), false);
  clock.advance(1);
  assert.equal(repeats.fresh("a", "no answer"), true);
  repeats.forget();
  assert.equal(repeats.fresh("a", "no answer"), true);
});

Deno.test("subjects without end do not fill memory: the first are forgotten", () => {
  const repeats = createRepeatFilter({ monotonic: () => 0 });
  for (let i = 0; i <= 1000; i++) assert.equal(repeats.fresh(`s${i}`, "x"), true);
  assert.equal(repeats.fresh("s1000", "x"), false);
  assert.equal(repeats.fresh("s0", "x"), true);
});

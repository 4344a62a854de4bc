import assert from "node:assert/strict";
import { ManualClock } from "../../tests/harness/clock.ts";
import { createSlices, SLICE_MS } from "./sliced.ts";

Deno.test("a slice is spent after 4 ms and a rest begins a new one", async () => {
  const clock = new ManualClock();
  let turns = 0;
  const slices = createSlices(clock, () => {
    turns++;
    clock.advance(50);
    return Promise.resolve();
  });
  clock.advance(SLICE_MS - 1);
  assert.equal(slices.spent(), false);
  clock.advance(1);
  assert.equal(slices.spent(), true);
  await slices.rest();
  assert.equal(turns, 1);
  assert.equal(slices.spent(), false, "the time of the others does not count");
});

Deno.test("begin: the time before was not ours", () => {
  const clock = new ManualClock();
  const slices = createSlices(clock, () => Promise.resolve());
  clock.advance(1000);
  slices.begin();
  assert.equal(slices.spent(), false);
});

import assert from "node:assert/strict";
import { ManualClock } from "../../tests/harness/clock.ts";
import { createSlices, REST_MS, SLICE_MS } from "./sliced.ts";

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

/** Turns of one rest when the others work for so long in each turn. */
async function turnsOf(workMs: (turn: number) => number): Promise<number> {
  const clock = new ManualClock();
  let turns = 0;
  const slices = createSlices(clock, () => {
    clock.advance(workMs(turns++));
    return Promise.resolve();
  });
  await slices.rest();
  return turns;
}

Deno.test("a rest: one turn when nobody has work, else as long as there is some, but never for long", async () => {
  const idleMs = 0.015;
  assert.equal(await turnsOf(() => idleMs), 1);
  // A request, its upstream's answer ten turns later, then nothing for 0.3 ms.
  assert.equal(await turnsOf((turn) => turn === 0 || turn === 10 ? 0.1 : idleMs), 11 + 20);
  assert.equal(await turnsOf(() => 0.1), REST_MS / 0.1);
  assert.equal(await turnsOf(() => 50), 1);
});

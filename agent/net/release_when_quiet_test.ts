import assert from "node:assert/strict";
import { ManualClock } from "../../tests/harness/clock.ts";
import { releaseWhenQuiet } from "./release_when_quiet.ts";

function watched() {
  const clock = new ManualClock();
  const it = { clock, requests: 0, inFlight: 0, used: 60e6, releases: 0, stop: () => {} };
  it.stop = releaseWhenQuiet({
    clock,
    totals: () => it,
    used: () => it.used,
    release: () => void it.releases++,
  });
  return it;
}

Deno.test("garbage is released once, half a minute after the last of many requests", () => {
  const it = watched();
  for (let i = 0; i < 10; i++) {
    it.requests += 200;
    it.clock.advance(5000);
  }
  assert.equal(it.releases, 0);
  it.clock.advance(29_000);
  assert.equal(it.releases, 0);
  it.clock.advance(1000);
  assert.equal(it.releases, 1);
  it.clock.advance(60_000);
  assert.equal(it.releases, 1);
  // Too few to be worth another pause, until there are more.
  it.requests += 999;
  it.clock.advance(40_000);
  assert.equal(it.releases, 1);
  it.requests += 1;
  it.clock.advance(40_000);
  assert.equal(it.releases, 2);
  it.stop();
});

Deno.test("no pause while a request is under way, nor now and then in a trickle of them, nor for a large heap", () => {
  const it = watched();
  it.requests = 5000;
  it.inFlight = 1;
  it.clock.advance(60_000);
  it.inFlight = 0;
  for (let i = 0; i < 60; i++) {
    it.requests++;
    it.clock.advance(29_000);
  }
  it.used = 129e6;
  it.clock.advance(60_000);
  assert.equal(it.releases, 0);
  it.used = 60e6;
  it.clock.advance(60_000);
  assert.equal(it.releases, 0);
  it.requests += 1000;
  it.clock.advance(40_000);
  assert.equal(it.releases, 1);
  it.stop();
  it.requests += 1000;
  it.clock.advance(60_000);
  assert.equal(it.releases, 1);
});

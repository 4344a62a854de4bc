import assert from "node:assert/strict";
import type { Clock } from "../core/ports.ts";
import { Deadlines, type Expirable } from "./deadlines.ts";

class FakeClock implements Clock {
  time = 0;
  timers: { at: number; fn: () => void }[] = [];
  now = () => this.time;
  monotonic = () => this.time;
  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.time + ms, fn };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((t) => t !== timer);
    };
  }
  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = this.timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.timers = this.timers.filter((t) => t !== next);
      this.time = next.at;
      next.fn();
    }
    this.time = end;
  }
}

class Item implements Expirable {
  deadline = Infinity;
  slot = -1;
  expiredAt: number[] = [];
  constructor(readonly clock: FakeClock, readonly then: () => void = () => {}) {}
  expire(): void {
    this.expiredAt.push(this.clock.time);
    this.then();
  }
}

Deno.test("a deadline is met within a tick, a near one to the millisecond", () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const far = new Item(clock);
  const near = new Item(clock);
  deadlines.add(far);
  deadlines.add(near);
  far.deadline = 1000;
  deadlines.arm(near, 7);
  clock.advance(2000);
  assert.deepEqual(near.expiredAt, [7]);
  assert.equal(far.expiredAt.length, 1);
  assert.ok(far.expiredAt[0]! >= 1000 && far.expiredAt[0]! <= 1001, String(far.expiredAt[0]));
});

Deno.test("a deadline that was moved on does not fire", () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const item = new Item(clock);
  deadlines.add(item);
  deadlines.arm(item, 50);
  clock.advance(40);
  item.deadline = 500;
  clock.advance(300);
  assert.deepEqual(item.expiredAt, []);
  clock.advance(300);
  assert.equal(item.expiredAt.length, 1);
});

Deno.test("items may leave, also while being swept, and the timer stops with the last one", () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const items = Array.from({ length: 5 }, () => new Item(clock));
  const leaving = new Item(clock, () => {
    for (const item of items) deadlines.remove(item);
    deadlines.remove(leaving);
  });
  for (const item of items) {
    deadlines.add(item);
    item.deadline = 60;
  }
  deadlines.add(leaving);
  deadlines.arm(leaving, 60);
  clock.advance(1000);
  assert.equal(leaving.expiredAt.length, 1);
  assert.ok(items.every((i) => i.expiredAt.length === 0 && i.slot === -1));
  assert.equal(deadlines.size, 0);
  assert.equal(clock.timers.length, 0);
});

Deno.test("a far deadline armed by an expiring item does not put off the near ones of others", () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const rearmed: Item = new Item(clock, () => deadlines.arm(rearmed, clock.time + 5000));
  const near = new Item(clock);
  rearmed.deadline = 100;
  deadlines.add(rearmed);
  deadlines.add(near);
  near.deadline = 250;
  clock.advance(1000);
  assert.equal(near.expiredAt.length, 1);
  assert.ok(near.expiredAt[0]! <= 400);
  deadlines.close();
});

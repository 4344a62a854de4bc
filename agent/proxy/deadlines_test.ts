import assert from "node:assert/strict";
import fc from "fast-check";
import { ManualClock } from "../../tests/harness/clock.ts";
import { Deadlines, type Expirable, RESOLUTION_MS, TICK_MS } from "./deadlines.ts";

class Item implements Expirable {
  deadline = Infinity;
  slot = -1;
  expiredAt: number[] = [];
  constructor(readonly clock: ManualClock, readonly then: () => void = () => {}) {}
  expire(): void {
    assert.equal(this.deadline, Infinity);
    this.expiredAt.push(this.clock.monotonic());
    this.then();
  }
}

function setUp(startMs = 0): { clock: ManualClock; deadlines: Deadlines; item: () => Item } {
  const clock = new ManualClock(startMs);
  const deadlines = new Deadlines(clock);
  const item = (): Item => {
    const made = new Item(clock);
    deadlines.add(made);
    return made;
  };
  return { clock, deadlines, item };
}

Deno.test("a deadline is rounded up to the resolution, near or far, and never early", () => {
  const { clock, deadlines, item } = setUp(3);
  const afters = [
    0,
    1,
    7,
    10,
    11,
    99,
    100,
    2549,
    2560,
    2561,
    15_000,
    655_360,
    700_001,
    3_600_000,
    200_000_000,
  ];
  const items = afters.map(item);
  for (const [i, ms] of afters.entries()) deadlines.arm(items[i]!, 3 + ms);
  clock.advance(afters.at(-1)! + 20);
  for (const [i, ms] of afters.entries()) {
    const [at, ...more] = items[i]!.expiredAt;
    assert.deepEqual(more, []);
    const wanted = 3 + Math.max(1, Math.ceil(ms / RESOLUTION_MS)) * RESOLUTION_MS;
    assert.equal(at, wanted, `${ms} ms`);
  }
});

Deno.test("a deadline that was put off or cancelled does not fire where it was", () => {
  const { clock, deadlines, item } = setUp();
  const later = item();
  const never = item();
  const little = item();
  deadlines.arm(little, 50);
  deadlines.arm(little, 55);
  deadlines.arm(later, 50);
  deadlines.arm(never, 50);
  clock.advance(40);
  deadlines.arm(later, 500);
  never.deadline = Infinity;
  clock.advance(450);
  assert.deepEqual(little.expiredAt, [60]);
  assert.deepEqual(later.expiredAt, []);
  clock.advance(10_000);
  assert.deepEqual(later.expiredAt, [500]);
  assert.deepEqual(never.expiredAt, []);
});

Deno.test("a cancelled deadline can be armed again, nearer than before", () => {
  const { clock, deadlines, item } = setUp();
  const one = item();
  deadlines.arm(one, 5000);
  one.deadline = Infinity;
  deadlines.arm(one, 60);
  clock.advance(10_000);
  assert.deepEqual(one.expiredAt, [60]);
  deadlines.arm(one, 10_030);
  clock.advance(40);
  assert.deepEqual(one.expiredAt, [60, 10_030]);
});

Deno.test("items may leave, also while others expire, and the timer stops with the last one", () => {
  const { clock, deadlines, item } = setUp();
  const before = Array.from({ length: 5 }, item);
  const leaving = new Item(clock, () => {
    for (const one of [...before, ...after]) deadlines.remove(one);
    deadlines.remove(leaving);
  });
  deadlines.add(leaving);
  const after = Array.from({ length: 5 }, item);
  deadlines.arm(leaving, 55);
  for (const one of [...before, ...after]) deadlines.arm(one, 60);
  clock.advance(1000);
  assert.deepEqual(leaving.expiredAt, [60]);
  // Whoever stood before it in the bucket had its turn.
  assert.ok(after.every((one) => one.expiredAt.length === 0 && one.slot === -1));
  assert.equal(deadlines.size, 0);
  assert.equal(clock.pending, 0);
});

Deno.test("an expiring item arms itself and others, and the wheel goes on", () => {
  const { clock, deadlines, item } = setUp();
  const other = item();
  const again: Item = new Item(clock, () => {
    if (again.expiredAt.length > 3) return;
    deadlines.arm(again, clock.monotonic() + 1);
    deadlines.arm(other, clock.monotonic() + 5000);
  });
  deadlines.add(again);
  deadlines.arm(again, 100);
  clock.advance(6000);
  assert.deepEqual(again.expiredAt, [100, 110, 120, 130]);
  assert.deepEqual(other.expiredAt, [5120]);
});

Deno.test("an empty wheel sleeps, however long, and wakes with the next item", () => {
  const { clock, deadlines, item } = setUp();
  const first = item();
  deadlines.arm(first, 30);
  clock.advance(100);
  deadlines.remove(first);
  assert.equal(clock.pending, 0);
  clock.advance(5_000_003);
  const second = item();
  assert.equal(deadlines.now, clock.monotonic());
  deadlines.arm(second, clock.monotonic() + 25);
  clock.advance(30);
  assert.deepEqual(second.expiredAt, [5_000_130]);
});

Deno.test("one timer at a time, and `now` is at most a tick old", () => {
  const { clock, deadlines, item } = setUp();
  for (let i = 0; i < 300; i++) deadlines.arm(item(), 1 + 37 * i);
  for (let t = 0; t < 3000; t += 7) {
    clock.advance(7);
    assert.equal(clock.pending, 1);
    assert.ok(clock.monotonic() - deadlines.now <= TICK_MS);
  }
  deadlines.close();
  assert.equal(clock.pending, 0);
});

// ---------------------------------------------------------------- against a naive model

type Step = readonly ["add" | "remove" | "cancel" | "advance" | "arm", number, number];

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(fc.constantFrom("add", "remove", "cancel"), fc.nat(11), fc.constant(0)),
  fc.tuple(
    fc.constant("arm" as const),
    fc.nat(11),
    fc.oneof(fc.nat(120), fc.nat(6000), fc.nat(1_500_000), fc.integer({ min: -50, max: 0 })),
  ),
  fc.tuple(
    fc.constant("advance" as const),
    fc.constant(0),
    fc.oneof(fc.nat(40), fc.nat(5000), fc.nat(700_000)),
  ),
) as fc.Arbitrary<Step>;

Deno.test("every item expires in the window of its deadline, as in a list that is searched at every step", () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.array(step, { maxLength: 80 }), (start, steps) => {
      const clock = new ManualClock(start);
      const deadlines = new Deadlines(clock);
      /** Deadlines by item, as they were asked for. */
      const due = new Map<Item, number>();
      const items = Array.from({ length: 12 }, () => {
        const item: Item = new Item(clock, () => {
          const wanted = due.get(item);
          assert.ok(wanted !== undefined, "nothing was armed");
          due.delete(item);
          const now = clock.monotonic();
          assert.ok(now >= wanted, `early: ${now} < ${wanted}`);
          assert.ok(now <= Math.max(wanted, armedAt.get(item)!) + RESOLUTION_MS, `late: ${now} > ${wanted}`);
        });
        return item;
      });
      const armedAt = new Map<Item, number>();
      for (const [what, index, value] of steps) {
        const item = items[index]!;
        if (what === "advance") {
          clock.advance(value);
          for (const [one, wanted] of due) {
            const latest = Math.max(wanted, armedAt.get(one)!) + RESOLUTION_MS;
            assert.ok(
              latest > clock.monotonic() || one.slot < 0,
              `missed: ${wanted} at ${clock.monotonic()}`,
            );
          }
        } else if (what === "add") {
          if (item.slot >= 0) continue;
          if (due.has(item)) armedAt.set(item, clock.monotonic());
          deadlines.add(item);
        } else if (what === "remove") {
          deadlines.remove(item);
        } else if (what === "cancel") {
          item.deadline = Infinity;
          due.delete(item);
        } else {
          due.set(item, clock.monotonic() + value);
          armedAt.set(item, clock.monotonic());
          deadlines.arm(item, clock.monotonic() + value);
        }
        assert.equal(deadlines.size, items.filter((one) => one.slot >= 0).length);
        assert.equal(clock.pending, deadlines.size > 0 ? 1 : 0);
      }
    }),
    { numRuns: 400 },
  );
});

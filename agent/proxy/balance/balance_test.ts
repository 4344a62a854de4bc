import assert from "node:assert/strict";
import type { LbPolicy } from "../../model/model.ts";
import { createBalancer } from "./balancer.ts";

interface Host {
  readonly name: string;
  readonly weight: number;
  active: number;
}

const hosts = (...weights: number[]): Host[] =>
  weights.map((weight, i) => ({ name: `h${i}`, weight, active: 0 }));

/** Mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let a = seed;
  return () => {
    a = a + 0x6d2b79f5 | 0;
    let t = Math.imul(a ^ a >>> 15, 1 | a);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
}

function shares(policy: LbPolicy, list: Host[], n: number): number[] {
  const balancer = createBalancer(policy, list, seeded(1));
  const counts = new Map<Host, number>(list.map((h) => [h, 0]));
  for (let i = 0; i < n; i++) {
    const h = balancer.pick()!;
    counts.set(h, counts.get(h)! + 1);
  }
  return list.map((h) => counts.get(h)! / n);
}

// What every policy keeps.
for (const policy of ["ROUND_ROBIN", "RANDOM", "LEAST_REQUEST", "RING_HASH", "MAGLEV"] as const) {
  Deno.test(`${policy}: no candidates, no pick`, () => {
    assert.equal(createBalancer(policy, [], seeded(1)).pick(), null);
  });

  Deno.test(`${policy}: one candidate takes all`, () => {
    assert.deepEqual(shares(policy, hosts(5), 10), [1]);
  });

  Deno.test(`${policy}: equal weights share equally`, () => {
    for (const share of shares(policy, hosts(1, 1, 1, 1), 20_000)) {
      assert.ok(Math.abs(share - 0.25) < 0.02, String(share));
    }
  });

  Deno.test(`${policy}: weights are honoured`, () => {
    const [a, b, c] = shares(policy, hosts(1, 2, 7), 20_000) as [number, number, number];
    assert.ok(
      Math.abs(a - 0.1) < 0.02 && Math.abs(b - 0.2) < 0.02 && Math.abs(c - 0.7) < 0.02,
      `${a} ${b} ${c}`,
    );
  });
}

Deno.test("ROUND_ROBIN: strictly in turn, from a random start", () => {
  const list = hosts(1, 1, 1);
  const balancer = createBalancer("ROUND_ROBIN", list, () => 0.5);
  assert.deepEqual([1, 2, 3, 4].map(() => balancer.pick()!.name), ["h1", "h2", "h0", "h1"]);
});

Deno.test("ROUND_ROBIN: a heavy candidate is spread, not bunched", () => {
  const balancer = createBalancer("ROUND_ROBIN", hosts(4, 1), () => 0);
  const run = Array.from({ length: 10 }, () => balancer.pick()!.name).join("");
  assert.ok(!run.includes("h1h1"), run);
  assert.equal(run.split("h1").length - 1, 2);
});

Deno.test("LEAST_REQUEST: the less busy one of two wins", () => {
  const list = hosts(1, 1);
  list[0]!.active = 10;
  const draws = [0.1, 0.9];
  let i = 0;
  const balancer = createBalancer("LEAST_REQUEST", list, () => draws[i++ % 2]!);
  assert.equal(balancer.pick()!.name, "h1");
});

Deno.test("LEAST_REQUEST: with unequal weights a busy candidate gets less", () => {
  const list = hosts(2, 1);
  list[0]!.active = 9;
  const [busy, free] = shares("LEAST_REQUEST", list, 1000) as [number, number];
  assert.ok(busy < 0.2 && free > 0.8, `${busy} ${free}`);
});

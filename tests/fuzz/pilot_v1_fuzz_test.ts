/** Pilot's v1 answers, damaged: whatever comes, the poll goes on, the world never gets empty, and a good answer mends it. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { V1Poller } from "../../agent/discovery/pilot_poll.ts";
import { createSlices } from "../../agent/discovery/sliced.ts";
import { V1Board } from "../../agent/discovery/pilot_status.ts";
import { MeshError } from "../../agent/core/errors.ts";
import type { HttpClient } from "../../agent/core/ports.ts";
import type { Program } from "../../agent/model/model.ts";
import { buildRouteTables } from "../../agent/route/table.ts";
import { normalPath, parseRecording } from "../harness/rest_pilot.ts";

const SEED = 20_261_124;
const NODE = { id: "sidecar~10.1.1.7~app-1.default~default.svc.cluster.local", cluster: "app", metadata: {} };
const ADDRESS = { text: "http://pilot:8080", scheme: "http", host: "pilot", port: 8080 } as const;
const RECORDINGS = new URL("../recordings/pilot-0.8.0/v1/", import.meta.url);

type Answers = Map<string, { readonly status: number; readonly body: Uint8Array }>;

async function recorded(scenario: string): Promise<Answers> {
  const answers: Answers = new Map();
  const names: string[] = [];
  for await (const { name } of Deno.readDir(new URL(`${scenario}/`, RECORDINGS))) {
    if (name.endsWith(".http")) names.push(name);
  }
  // Of several answers to a path, the first is that of a plain GET.
  for (const name of names.sort().reverse()) {
    const { path, answer } = parseRecording(await Deno.readFile(new URL(`${scenario}/${name}`, RECORDINGS)));
    answers.set(path, answer);
  }
  return answers;
}

/** An HttpClient out of memory; `damage` sees every body. */
function clientOf(answers: Answers, damage: (body: Uint8Array, path: string) => Uint8Array): HttpClient {
  return {
    get(_address, raw) {
      const path = normalPath(raw);
      const { status, body } = answers.get(path) ??
        { status: 200, body: new TextEncoder().encode('{"hosts":[]}') };
      return Promise.resolve({ status, contentType: "text/plain", body: damage(body, path) });
    },
    close() {},
  };
}

function pollerOf(http: HttpClient): V1Poller {
  return new V1Poller(http, {
    node: NODE,
    rules: true,
    hosts: [],
    namespace: "default",
    domainSuffix: "svc.cluster.local",
    connectTimeoutMs: 1000,
    board: new V1Board("pilot", [ADDRESS], NODE.id, { now: () => 0 }),
    slices: createSlices({ monotonic: () => 0 }, () => Promise.resolve()),
  });
}

/** Everything but where it came from, maps sorted. */
function contentOf(program: Program): string {
  const plain = (map: ReadonlyMap<string, unknown> | undefined) =>
    [...map ?? []].sort(([a], [b]) => a < b ? -1 : 1);
  return JSON.stringify(
    [program.routeConfigurations, program.clusters, program.loadAssignments, program.listeners].map(plain),
    (key, value) => key === "origin" ? undefined : value,
  );
}

const damage = fc.oneof(
  fc.record({ kind: fc.constant("cut" as const), at: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({
    kind: fc.constant("flip" as const),
    bits: fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(7)), {
      minLength: 1,
      maxLength: 6,
    }),
  }),
  fc.record({
    kind: fc.constant("swap" as const),
    word: fc.constantFrom(
      '"hosts"',
      '"port"',
      '"name"',
      '"routes"',
      '"cluster"',
      '"filters"',
      '"domains"',
      '"weight"',
    ),
    by: fc.constantFrom(
      '"gone"',
      '"hosts": null, "x"',
      '"routes": 7, "x"',
      '"name": [], "x"',
      '"weight": -1, "x"',
    ),
  }),
  fc.record({
    kind: fc.constant("other" as const),
    body: fc.constantFrom(
      "",
      "null",
      "[]",
      "{}",
      "0",
      '"x"',
      '{"hosts":[]}',
      "[null]",
      "<html>",
      "{".repeat(2000),
    ),
  }),
);
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

function apply(body: Uint8Array, how: Damage): Uint8Array {
  switch (how.kind) {
    case "cut":
      return body.slice(0, Math.floor(how.at * body.length));
    case "flip": {
      const copy = body.slice();
      for (const [at, bit] of how.bits) {
        const i = Math.min(copy.length - 1, Math.floor(at * copy.length));
        if (i >= 0) copy[i] = (copy[i] as number) ^ (1 << bit);
      }
      return copy;
    }
    case "swap":
      return new TextEncoder().encode(new TextDecoder().decode(body).replace(how.word, how.by));
    case "other":
      return new TextEncoder().encode(how.body);
  }
}

for (const scenario of ["istioserver", "bookinfo", "kitchen_sink", "routerule"]) {
  Deno.test(`${scenario}: damaged answers never crash, never empty the world, and are told`, async () => {
    const answers = await recorded(scenario);
    // Probes of trouble, and keys that are not asked for.
    for (const [path, { status }] of answers) if (status !== 200) answers.delete(path);
    const whole = pollerOf(clientOf(answers, (body) => body));
    await whole.poll(ADDRESS);
    const good = contentOf(await whole.program());
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom("registration", "listeners", "clusters", "routes", "*"), damage), {
          minLength: 1,
          maxLength: 3,
        }),
        async (rounds) => {
          let now: (typeof rounds)[number] | undefined;
          const poller = pollerOf(clientOf(answers, (body, path) => {
            return now !== undefined && (now[0] === "*" || path.startsWith(`/v1/${now[0]}`))
              ? apply(body, now[1])
              : body;
          }));
          await poller.poll(ADDRESS);
          const before = await poller.program();
          for (now of rounds) {
            try {
              await poller.poll(ADDRESS);
            } catch (error) {
              assert.ok(error instanceof MeshError, String(error));
              assert.match(error.code, /^D22[01]$/);
            }
            assert.ok(poller.synced);
            const program = await poller.program();
            buildRouteTables(program);
            for (const part of ["routeConfigurations", "clusters", "loadAssignments"] as const) {
              // What the two standing clusters would hide.
              const least = part === "clusters" ? 2 : 0;
              assert.ok(program[part].size > least || before[part].size <= least, `${part} stay`);
            }
            const hosts = [...program.routeConfigurations.values()].flatMap((t) => t.virtualHosts);
            assert.ok(hosts.length > 0, "virtual hosts stay");
            for (const problem of poller.problems()) assert.match(problem.code, /^D2[123][0-9]$/);
          }
          now = undefined;
          await poller.poll(ADDRESS);
          assert.ok(contentOf(await poller.program()) === good, "a good answer mends it");
          assert.deepEqual(poller.problems().map((p) => p.code), whole.problems().map((p) => p.code));
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });
}

Deno.test("a cut answer changes nothing at all, wherever it is cut", async () => {
  const answers = await recorded("routerule");
  for (const kind of ["registration", "listeners", "clusters", "routes"]) {
    let share = 1;
    const poller = pollerOf(clientOf(answers, (body, path) => {
      return path.startsWith(`/v1/${kind}`) ? body.slice(0, Math.floor(share * body.length)) : body;
    }));
    await poller.poll(ADDRESS);
    const program = await poller.program();
    for (share = 0; share < 0.99; share += 0.01) {
      await poller.poll(ADDRESS).catch((error) => assert.ok(error instanceof MeshError));
      assert.equal(await poller.program(), program, `${kind} cut at ${share}`);
      assert.ok(poller.problems().some((p) => p.code === "D221"), kind);
    }
  }
});

Deno.test("the same seed gives the same damage", () => {
  const sample = fc.sample(damage, { seed: SEED, numRuns: 50 });
  const digest = createHash("sha256").update(JSON.stringify(sample)).digest("hex");
  assert.equal(
    createHash("sha256").update(JSON.stringify(fc.sample(damage, { seed: SEED, numRuns: 50 }))).digest("hex"),
    digest,
  );
});

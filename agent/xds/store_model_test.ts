/** The store under answers in any order: what is in force always serves, nothing good is lost, and it ends where it should. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Cluster, Listener, Program, RouteConfiguration } from "../model/model.ts";
import { clustersOfHost } from "./references.ts";
import { eds, endpoints, fixed, http, Shelf, table, tcp } from "./store_fixture.ts";

const HOSTS = ["a", "b", "c", "d"] as const;
const nameOf = (host: string): string => `outbound|80||${host}`;
const NAMES = HOSTS.map(nameOf);
const TABLES = ["80", "81", "http_proxy"] as const;

const cluster: fc.Arbitrary<Cluster> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...NAMES).map((name) => eds(name)) },
  { weight: 1, arbitrary: fc.constantFrom(...NAMES).map((name) => eds(name, { edsServiceName: "shared" })) },
  { weight: 1, arbitrary: fc.constantFrom(...NAMES).map(fixed) },
);
const routes = fc.dictionary(fc.constantFrom(...HOSTS), fc.constantFrom(...NAMES, nameOf("unknown")));
const routeTable: fc.Arbitrary<RouteConfiguration> = fc.tuple(fc.constantFrom(...TABLES), routes).map(
  ([name, led]) => table(name, led),
);
const listener: fc.Arbitrary<Listener> = fc.oneof(
  fc.constantFrom(80, 81).map((port) => http(port, String(port))),
  fc.constantFrom(...NAMES).map((name) => tcp("db", "10.0.0.5", 3306, name)),
);
const unique = { minLength: 1, maxLength: 4, selector: ({ name }: { name: string }) => name };

type Act =
  | { readonly do: "cds"; readonly values: readonly Cluster[] }
  | { readonly do: "lds"; readonly values: readonly Listener[] }
  | { readonly do: "rds"; readonly values: readonly RouteConfiguration[] }
  | { readonly do: "eds"; readonly names: readonly string[]; readonly address: string }
  | { readonly do: "wait"; readonly ms: number };

const act: fc.Arbitrary<Act> = fc.oneof(
  fc.uniqueArray(cluster, unique).map((values): Act => ({ do: "cds", values })),
  fc.uniqueArray(listener, unique).map((values): Act => ({ do: "lds", values })),
  { weight: 2, arbitrary: fc.uniqueArray(routeTable, unique).map((values): Act => ({ do: "rds", values })) },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.subarray([...NAMES, "shared"]), fc.constantFrom("10.0.0.1", "10.0.0.2")).map(
      ([names, address]): Act => ({ do: "eds", names, address }),
    ),
  },
  fc.constantFrom(100, 1_000).map((ms): Act => ({ do: "wait", ms })),
);

function namesIn(configuration: RouteConfiguration): readonly string[] {
  return configuration.virtualHosts.flatMap(clustersOfHost);
}

/** Plays the acts and looks at the program after each. */
function play(hosts: readonly string[], acts: readonly Act[]): void {
  const shelf = new Shelf({ hosts });
  const { store } = shelf;
  let before: Program = shelf.program;
  let said = new Map<string, Cluster>();
  let listeners: readonly Listener[] = [];
  const tables = new Map<string, RouteConfiguration>();
  /** When CDS removed a cluster, and tables that were said since. */
  const removed = new Map<string, { atMs: number; readonly since: Set<string> }>();
  let wasSynced = false;

  const look = (act: Act): void => {
    const { program } = shelf;
    assert.equal(shelf.program, program, "asked again, the same program");
    for (const [name, configuration] of program.routeConfigurations) {
      if (configuration === before.routeConfigurations.get(name)) continue;
      for (const to of namesIn(configuration)) {
        assert(
          !said.has(to) || program.clusters.has(to),
          `table ${name} entered and leads to the cold ${to}`,
        );
      }
    }
    for (const [name, { type, edsServiceName }] of program.clusters) {
      if (type === "EDS") {
        assert(program.loadAssignments.has(edsServiceName ?? name), `${name} has no endpoints`);
      }
    }
    for (const name of before.clusters.keys()) {
      if (program.clusters.has(name)) continue;
      assert(hosts.length > 0 || !said.has(name), `${name} was lost`);
      const removal = removed.get(name);
      for (const [of, configuration] of program.routeConfigurations) {
        if (!namesIn(configuration).includes(name)) continue;
        assert(
          removal !== undefined && (removal.since.has(of) || shelf.nowMs - removal.atMs >= 1_000),
          `${name} went while table ${of} led there`,
        );
      }
    }
    const wanted = new Set(store.wanted("RDS"));
    for (const name of before.routeConfigurations.keys()) {
      assert(program.routeConfigurations.has(name) || !wanted.has(name), `table ${name} was lost`);
    }
    assert(!wasSynced || store.synced(), "no longer synced");
    wasSynced = store.synced();
    assert((store.deadline() ?? Infinity) > shelf.nowMs, `a deadline that is over, after ${act.do}`);
    before = program;
  };

  const run = (act: Act): void => {
    if (act.do === "cds") {
      const now = new Map(act.values.map((value) => [value.name, value]));
      for (const name of said.keys()) {
        if (!now.has(name) && !removed.has(name)) removed.set(name, { atMs: shelf.nowMs, since: new Set() });
      }
      for (const name of now.keys()) removed.delete(name);
      said = now;
      shelf.cds(...act.values);
    } else if (act.do === "lds") {
      listeners = act.values;
      shelf.lds(...act.values);
    } else if (act.do === "rds") {
      for (const value of act.values) {
        tables.set(value.name, value);
        for (const { since } of removed.values()) since.add(value.name);
      }
      shelf.rds(...act.values);
    } else if (act.do === "eds") {
      shelf.eds(...act.names.map((name) => endpoints(name, act.address)));
    } else shelf.nowMs += act.ms;
    look(act);
  };

  for (const act of acts) run(act);
  // A server that answers everything: it comes to rest where CDS, LDS and RDS say.
  run({ do: "cds", values: [...said.values()] });
  run({ do: "lds", values: listeners });
  const wanted = store.wanted("RDS");
  run({ do: "rds", values: wanted.map((name) => tables.get(name) ?? table(name, {})) });
  for (let i = 0; i < 2; i++) run({ do: "eds", names: store.wanted("EDS"), address: "10.0.0.9" });
  run({ do: "wait", ms: 1_000 });
  const { program } = shelf;
  assert.deepEqual(store.waitingFor(), []);
  assert.equal(store.deadline(), undefined);
  assert.deepEqual([...program.routeConfigurations.keys()], wanted);
  const kept = (host: string): boolean => hosts.length === 0 || hosts.includes(host);
  const expected = wanted.map((name): RouteConfiguration => {
    const whole = tables.get(name) ?? table(name, {});
    return { ...whole, virtualHosts: whole.virtualHosts.filter(({ domains }) => kept(domains[0] as string)) };
  });
  assert.deepEqual([...program.routeConfigurations.values()], expected);
  const led = new Set(expected.flatMap(namesIn));
  assert.deepEqual(
    [...program.clusters].sort(),
    [...said].filter(([name]) => kept(name.slice(-1)) || led.has(name)).sort(),
  );
  const names = [...program.clusters.values()].filter(({ type }) => type === "EDS")
    .map(({ name, edsServiceName }) => edsServiceName ?? name);
  assert.deepEqual([...program.loadAssignments.keys()].sort(), [...new Set(names)].sort());
  assert.deepEqual(store.wanted("EDS"), [...new Set(names)].sort());
}

for (const hosts of [[], ["a", "b"]]) {
  Deno.test(`xDS store: any order of answers, hosts ${JSON.stringify(hosts)} (seeded)`, () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 40, size: "max" }), (acts) => play(hosts, acts)),
      { seed: 20_261_124, numRuns: 500 },
    );
  });
}

/**
 * The second judge: the rules that a real istiod was given go through our compiler, and what it answered must be what we made.
 * Every difference that is meant to be there stands in {@link ON_PURPOSE} with its reason; one that no longer occurs fails too.
 */
import assert from "node:assert";
import { createCompiler } from "../../agent/istio/compile.ts";
import { parseRules } from "../../agent/istio/parse.ts";
import type { RuleDocument } from "../../agent/istio/resources.ts";
import { validateDocument } from "../../agent/istio/validate.ts";
import type { Program } from "../../agent/model/model.ts";
import {
  assignmentOfIstiod,
  assignmentOfOurs,
  clustersOfIstiod,
  clustersOfOurs,
  routesOfIstiod,
  routesOfOurs,
} from "./istiod_model.ts";

const RECORDINGS = new URL("../recordings/", import.meta.url);

interface OnPurpose {
  readonly scenario: string;
  /** `routes`, `clusters` or `endpoints` and the name. */
  readonly what: RegExp;
  readonly reason: string;
}

const ON_PURPOSE: readonly OnPurpose[] = [
  {
    scenario: "*",
    what: /^routes http_proxy only istiod$/,
    reason: "an explicit proxy here takes the port from the authority and uses the tables per port",
  },
  {
    scenario: "*",
    what: /^clusters (InboundPassthroughCluster|inbound\|\d+\|\|) only istiod$/,
    reason: "nothing is proxied inbound",
  },
  {
    scenario: "kitchen_sink",
    what: /^routes (auto\.ks\.example\.com:7000 only istiod|7000 only ours)$/,
    reason:
      "istiod gives a sniffed port with an own address a table of its own; here it is one of the tables per port",
  },
  {
    scenario: "kitchen_sink",
    what: /^clusters outbound\|80\|\|\*\.dyn\.ks\.example\.com type$/,
    reason: "DYNAMIC_DNS resolves the requested name, as NONE does here",
  },
  {
    scenario: "kitchen_sink",
    what: /^clusters outbound\|80\|\|\*\.dyn\.ks\.example\.com healthyPanicThreshold$/,
    reason: "istiod leaves it out for this kind only; a cluster without endpoints cannot panic",
  },
  {
    scenario: "kitchen_sink",
    what: /^clusters outbound\|\d+\|v?\d*\|web\.ks\.example\.com tls subjectAltNames$/,
    reason: "the accounts of a service's endpoints are verified when mutual TLS is spoken, which comes later",
  },
  {
    scenario: "kitchen_sink",
    what: /^endpoints outbound\|(50051|3306)\|(v2|v3)?\|web\.ks\.example\.com$/,
    reason:
      "localityLbSetting.distribute empties localities that it does not name; localities are not looked at here",
  },
];

Deno.test("istiod's answers to the recorded rules are what the compiler makes", async (t) => {
  const unused = new Set(ON_PURPOSE);
  for (const scenario of ["istioserver", "bookinfo", "kitchen_sink"]) {
    await t.step(scenario, () => {
      const found = differences(scenario);
      const unexpected = found.filter(({ what }) => {
        const known = ON_PURPOSE.find((d) =>
          (d.scenario === "*" || d.scenario === scenario) && d.what.test(what)
        );
        if (known !== undefined) unused.delete(known);
        return known === undefined;
      });
      assert.deepStrictEqual(unexpected, []);
    });
  }
  assert.deepStrictEqual([...unused].map((d) => d.what.source), [], "differences that no longer occur");
});

Deno.test("rules that Pilot 1.0.9 was given compile to its hosts and clusters", () => {
  for (
    const [scenario, ports] of [["istioserver", ["8084"]], ["bookinfo", ["9080"]]] as const
  ) {
    const { program, errors } = compile(new URL(`pilot-1.0.9/v2/${scenario}/config/`, RECORDINGS));
    assert.deepStrictEqual(errors, []);
    for (const port of ports) {
      const hosts = program.routeConfigurations.get(port)?.virtualHosts ?? [];
      assert.ok(hosts.length > 1, `${scenario} has hosts on ${port}`);
      for (const host of hosts) {
        for (const route of host.routes) {
          for (const { name } of route.route?.weightedClusters?.clusters ?? []) {
            assert.ok(program.clusters.has(name), `${name} exists`);
          }
        }
      }
    }
  }
});

interface Difference {
  readonly what: string;
  readonly istiod?: unknown;
  readonly ours?: unknown;
}

function differences(scenario: string): Difference[] {
  const directory = new URL(`istiod-2026-08/${scenario}/`, RECORDINGS);
  const { program, errors } = compile(new URL("config/", directory));
  assert.deepStrictEqual(errors, []);
  const answer = (file: string) => JSON.parse(Deno.readTextFileSync(new URL(`sotw/${file}`, directory)));
  const found: Difference[] = [];
  const tables = routesOfIstiod(answer("004-rds-1.json"));
  const ours = routesOfOurs(program.routeConfigurations);
  eachName("routes", tables, ours, found, (name, theirs, own) => {
    const hosts = (table: { virtualHosts: { name: string }[] }) =>
      new Map(table.virtualHosts.map((v) => [v.name, v]));
    same(`routes ${name} names`, [...hosts(theirs).keys()], [...hosts(own).keys()], found);
    same(
      `routes ${name} ignorePortInHostMatching`,
      theirs.ignorePortInHostMatching,
      own.ignorePortInHostMatching,
      found,
    );
    eachName(`routes ${name}`, hosts(theirs), hosts(own), found, (host, a, b) => {
      compareFields(`routes ${name} ${host}`, a, b, found);
    });
  });
  eachName(
    "clusters",
    clustersOfIstiod(answer("001-cds-1.json")),
    clustersOfOurs(program.clusters),
    found,
    (name, theirs, own) => compareFields(`clusters ${name}`, theirs, own, found),
  );
  const theirEndpoints = new Map<string, string[]>(
    answer("002-eds-1.json").resources.map((
      r: { cluster_name: string },
    ) => [r.cluster_name, assignmentOfIstiod(r)]),
  );
  const ourEndpoints = new Map(
    Array.from(program.loadAssignments, ([name, a]) => [name, assignmentOfOurs(a)]),
  );
  eachName("endpoints", theirEndpoints, ourEndpoints, found, (name, theirs, own) => {
    same(`endpoints ${name}`, theirs, own, found);
  });
  return found;
}

function eachName<A>(
  what: string,
  theirs: ReadonlyMap<string, A>,
  ours: ReadonlyMap<string, A>,
  found: Difference[],
  compare: (name: string, theirs: A, ours: A) => void,
): void {
  for (const name of new Set([...theirs.keys(), ...ours.keys()])) {
    const [a, b] = [theirs.get(name), ours.get(name)];
    if (a === undefined) found.push({ what: `${what} ${name} only ours` });
    else if (b === undefined) found.push({ what: `${what} ${name} only istiod` });
    else compare(name, a, b);
  }
}

function compareFields(what: string, theirs: object, ours: object, found: Difference[]): void {
  const [a, b] = [theirs as Record<string, unknown>, ours as Record<string, unknown>];
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const [left, right] = [a[key], b[key]];
    if (key === "routes" && Array.isArray(left) && Array.isArray(right) && left.length === right.length) {
      left.forEach((route, i) => compareFields(`${what} route ${i}`, route, right[i], found));
    } else if (key === "tls" && left !== undefined && right !== undefined) {
      compareFields(`${what} tls`, left as object, right as object, found);
    } else same(`${what} ${key}`, left, right, found);
  }
}

function same(what: string, istiod: unknown, ours: unknown, found: Difference[]): void {
  try {
    assert.deepStrictEqual(ours, istiod);
  } catch {
    found.push({ what, istiod, ours });
  }
}

function compile(directory: URL): { program: Program; errors: string[] } {
  const documents: RuleDocument[] = [];
  const errors: string[] = [];
  for (const { name } of [...Deno.readDirSync(directory)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (!name.endsWith(".yaml")) continue;
    const parsed = parseRules(name, Deno.readTextFileSync(new URL(name, directory)), {
      namespace: "default",
    });
    documents.push(...parsed.documents);
    const found = [...parsed.diagnostics, ...parsed.documents.flatMap((d) => validateDocument(d))];
    errors.push(...found.filter((d) => d.severity === "error").map((d) => `${d.code} ${d.message}`));
  }
  const compiler = createCompiler({
    namespace: "default",
    domainSuffix: "svc.cluster.local",
    labels: { app: "client" },
    outboundTrafficPolicy: "ALLOW_ANY",
  });
  return { program: compiler.update(documents).program, errors };
}

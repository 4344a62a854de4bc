/**
 * Random Istio rules against Envoy, with HTTP/2 on either side: the same requests over HTTP/1.1 and HTTP/2 to both proxies, to
 * upstreams of either version (HTTP, HTTP2, GRPC, gRPC-Web and unnamed ports, useClientProtocol).
 *
 * MESH_ORACLE_SEED and MESH_ORACLE_H2_SETS (default 120) choose the rule sets; a failure prints the seed.
 */
import assert from "node:assert/strict";
import { envoyBootstrap } from "../../agent/admin/envoy_bootstrap.ts";
import { createCompiler } from "../../agent/istio/compile.ts";
import { within } from "../harness/bytes.ts";
import { CONTEXT, parseSet, report, SEED, settled } from "./compare.ts";
import { startEnvoy } from "./envoy.ts";
import { MIXED, ruleSet } from "./generate.ts";
import { differences, type Outcome } from "./outcome.ts";
import { startOwnProxy } from "./own_proxy.ts";
import { RawClient, type RawRequest, seenOf, Upstream } from "./raw_http.ts";
import { answerSeen, Http2Client, servingHttp2 } from "./raw_http2.ts";

const SETS = Number(Deno.env.get("MESH_ORACLE_H2_SETS") ?? 120);
const REQUESTS = 20;
const BATCH = 120;

/** Where the agent differs on purpose; each of them occurs, unless it is `rare`. */
const DEVIATIONS: readonly {
  readonly name: string;
  readonly rare?: true;
  explains(request: RawRequest, theirs: Outcome, ours: Outcome): boolean;
}[] = [
  {
    // RFC 9113 section 8.2.3 joins crumbs; Envoy's codec drops what they join to when it is empty, and empty crumbs with it.
    name: "an empty Cookie of an HTTP/2 request is a field",
    explains: ({ headers }) => headers.some(([name, value]) => name === "cookie" && value === ""),
  },
  {
    // TE belongs to the hop (RFC 9110 section 10.1.4), the agent takes trailers on it, and servers of gRPC may insist.
    name: "a gRPC request goes out with te: trailers, also when it came without",
    explains: (_, theirs, ours) =>
      differences(theirs, { ...ours, seen: ours.seen.replace("\nte: trailers", "") }).length === 0,
  },
  {
    // RFC 9113 section 8.2.1 allows no blank there. The agent sends the value without it; Envoy sends none of the answer.
    name: "a value that %REQ(cookie):4% cuts behind a blank breaks no stream",
    rare: true,
    explains: (_, theirs, ours) =>
      theirs.status === 0 && ours.status === 200 &&
      /^(x-|end-user).*: two$/m.test(`${ours.seen}\n${ours.headers}`),
  },
];

Deno.test("envoy: random Istio rules route HTTP/2 as Envoy routes it, to upstreams of either version", async () => {
  const answer = [["x-resp", "up"], ["x-many", "1"], ["x-many", "2"]] as const;
  const upstream = (name: string) => new Upstream(name, answer, servingHttp2(answerSeen));
  const upstreams = ["a-v1", "a-v2", "a-v3", "b", "c", "w"].map(upstream);
  const [v1, v2, v3, b, c, w] = upstreams.map((u) => u.port) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const wrong: string[] = [];
  const occurred = new Set<string>();
  /** `client version>upstream version`: how often. */
  const crossed = new Map<string, number>();
  try {
    for (let from = 0; from < SETS; from += BATCH) {
      const sets = Array.from(
        { length: Math.min(BATCH, SETS - from) },
        (_, i) => ruleSet(SEED + 7_000, from + i, { a: [v1, v2, v3], b, c, w }, REQUESTS, MIXED),
      );
      const { program } = createCompiler(CONTEXT).update(sets.flatMap(parseSet));
      const address = { hostname: "127.0.0.1", port: 0 };
      const envoy = await startEnvoy(
        envoyBootstrap(program, { listen: address, admin: address, outbound: "REGISTRY_ONLY" }),
      );
      const own = startOwnProxy(program);
      const ports = [envoy.port, own.port];
      const http1 = ports.map((port) => new RawClient(port));
      const http2 = ports.map((port) => new Http2Client(port));
      try {
        for (const set of sets) {
          for (const [i, request] of set.requests.entries()) {
            // Every third request is a client of HTTP/1.1.
            const version = i % 3 === 0 ? 1 : 2;
            const [envoys, agents] = version === 1 ? http1 : http2;
            const what = `rule set ${set.number}, HTTP/${version} ${JSON.stringify(request)}`;
            const theirs = await within(envoys!.send(request), `Envoy's answer to ${what}`);
            const ours = await within(agents!.send(request), `the agent's answer to ${what}`);
            const [their, our] = [settled(theirs, program, request), settled(ours, program, request)];
            const differing = differences(their, our);
            const kept = differing.length === 0
              ? undefined
              : DEVIATIONS.find((d) =>
                (version === 2 || d !== DEVIATIONS[0]) && d.explains(request, their, our)
              )?.name;
            if (kept !== undefined) occurred.add(kept);
            else if (differing.length > 0) {
              wrong.push(`HTTP/${version} ${report(set, request, differing, program)}`);
            }
            const seen = seenOf(ours);
            if (seen !== undefined) {
              const way = `${version}>${seen.version}`;
              crossed.set(way, (crossed.get(way) ?? 0) + 1);
            }
          }
        }
      } finally {
        for (const client of [...http1, ...http2]) client.close();
        await own.stop();
        await envoy.stop();
      }
    }
  } finally {
    await Promise.all(upstreams.map((u) => u.stop()));
  }
  const shown = Number(Deno.env.get("MESH_ORACLE_SHOW") ?? 4);
  assert.equal(
    wrong.length,
    0,
    `seed ${SEED}: ${wrong.length} of ${SETS * REQUESTS} differ\n\n${wrong.slice(0, shown).join("\n\n")}`,
  );
  assert.deepEqual(DEVIATIONS.filter((d) => d.rare !== true && !occurred.has(d.name)), []);
  for (const way of ["1>1", "1>2", "2>1", "2>2"]) {
    assert.ok((crossed.get(way) ?? 0) >= SETS / 2, `${way}: only ${crossed.get(way) ?? 0} requests`);
  }
});

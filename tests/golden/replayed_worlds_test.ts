/**
 * Every recording, played to the plugin that it belongs to: the world that comes out, how requests are decided in it, and one ACK for
 * each answer. What the rules say is in the `config` folder beside each recording.
 */
import assert from "node:assert/strict";
import { start as pilotv2 } from "../../agent/discovery/pilotv2.ts";
import { start as pilotv3 } from "../../agent/discovery/pilotv3.ts";
import type { DiscoveryInput, DiscoverySource, SourceStatus, World } from "../../agent/discovery/types.ts";
import { createWorldHolder } from "../../agent/discovery/world.ts";
import { viewOf } from "../../agent/route/view.ts";
import { createCodec } from "../../agent/xds/codec.ts";
import { settled } from "../harness/ads_peer.ts";
import { ManualClock } from "../harness/clock.ts";
import { OFFLINE_PORTS } from "../harness/discovery_ports.ts";
import { type RecordedAnswer, RecordedPlane, readRecording } from "../harness/recorded_plane.ts";
import { configOf } from "../harness/world.ts";

/** After this nothing removed stays because tables may follow, ms (v2: 10 s). */
const LINGER_MS = 11_000;
// Loaded once, not while a source waits for it.
createCodec();

interface Replay {
  readonly plane: RecordedPlane;
  readonly source: DiscoverySource;
  readonly clock: ManualClock;
  readonly world: World;
  readonly status: SourceStatus;
  readonly steps: readonly string[];
  readonly publications: number;
  /** Plays a step to its end; gives the types answered, in order. */
  play(step: string): Promise<string>;
}

/** Runs a test on a recording; at the end each answer must have had one ACK and no NACK. */
async function replaying(
  path: string,
  test: (replay: Replay) => Promise<void> | void,
  also: readonly string[] = [],
): Promise<void> {
  const recording = readRecording(path, also);
  const plane = new RecordedPlane(recording);
  const clock = new ManualClock(1_000_000);
  const world = createWorldHolder(clock);
  const base = configOf();
  const address = { text: "grpc://pilot.test:15010", scheme: "grpc", host: "pilot.test", port: 15010 } as const;
  let publications = 0;
  const input: DiscoveryInput = {
    ...OFFLINE_PORTS,
    config: { ...base, discovery: { ...base.discovery, addresses: [address], delta: recording.delta } },
    clock,
    log: { level: "error", log: () => {} },
    openDirectory: () => assert.fail("no files here"),
    publish(publication) {
      publications++;
      world.publish(publication);
    },
    openTransport: plane.openTransport,
  };
  const source = (recording.generation === "v2" ? pilotv2 : pilotv3)(input);
  const said: RecordedAnswer[] = [];
  try {
    await plane.opened();
    await test({
      plane,
      source,
      clock,
      steps: recording.steps,
      get world() {
        return world.current;
      },
      get status() {
        return source.status()[0]!;
      },
      get publications() {
        return publications;
      },
      async play(step) {
        const answers = await plane.play(step);
        said.push(...answers);
        clock.advance(LINGER_MS);
        await settled();
        return answers.map(({ type }) => type).join(" ");
      },
    });
    for (const { type, nonce } of said) {
      assert.deepEqual(plane.call.verdicts(type, nonce), { acks: 1, nacks: [] }, `${path}: ${type} ${nonce}`);
    }
    assert.equal(plane.calls.length, 1, "the stream was never given up");
  } finally {
    await source.close();
    await settled();
  }
  assert.equal(clock.pending, 0, "timers are left");
}

interface Counts {
  readonly clusters: number;
  readonly tables: string;
  readonly hosts: number;
  readonly endpoints: number;
  readonly listeners: number;
}

function countsOf({ program }: World): Counts {
  const sum = (numbers: Iterable<number>): number => [...numbers].reduce((a, b) => a + b, 0);
  return {
    clusters: program.clusters.size,
    tables: [...program.routeConfigurations.keys()].join(" "),
    hosts: sum([...program.routeConfigurations.values()].map((table) => table.virtualHosts.length)),
    endpoints: sum(
      [...program.loadAssignments.values()].flatMap((a) => a.endpoints.map((e) => e.lbEndpoints.length)),
    ),
    listeners: program.listeners?.size ?? 0,
  };
}

/** Endpoints of a cluster, `-` when there is no such cluster. */
function endpointsOf({ program }: World, cluster: string): string {
  if (!program.clusters.has(cluster)) return "-";
  const assignment = program.loadAssignments.get(cluster);
  return (assignment?.endpoints ?? []).flatMap((e) => e.lbEndpoints.map((l) => `${l.address}:${l.port}`)).sort().join(" ");
}

/** `v1 25, v2 25, v3 50`: subsets (`*`: the whole service) or whole names of clusters with their share in percent; or what else it is. */
function decide(world: World, url: string, headers: Record<string, string> = {}, method = "GET"): string {
  const view = viewOf({ method, url, headers: Object.entries(headers) });
  const shares = new Map<string, number>();
  for (let percent = 0; percent < 100; percent++) {
    const decision = world.tables.select(view, (percent + 0.5) / 100);
    if (decision.kind === "redirect") {
      const { source } = decision.route;
      return `redirect ${source.redirect?.responseCode}`;
    }
    if (decision.kind === "directResponse") return `direct ${decision.route.source.directResponse?.status}`;
    if (decision.kind !== "route") return decision.kind;
    const { cluster } = decision.destination;
    shares.set(cluster, (shares.get(cluster) ?? 0) + 1);
  }
  return [...shares].map(([cluster, share]) => {
    const [, , subset, host] = cluster.split("|");
    const short = host === undefined ? cluster : `${host.split(".")[0]} ${subset === "" ? "*" : subset}`;
    return share === 100 ? short : `${short} ${share}`;
  }).join(", ");
}

const OF_0_8 = "pilot-0.8.0/v2";
const OF_1_0 = "pilot-1.0.9/v2";
const ISTIOD = "istiod-2026-08";
const SERVER = "http://istioserver.default.svc.cluster.local:8084/";

const WHOLE = "outbound|8084||istioserver.default.svc.cluster.local";
const V1 = "outbound|8084|v1|istioserver.default.svc.cluster.local";
const V3 = "outbound|8084|v3|istioserver.default.svc.cluster.local";
const EXTRA = "outbound|8084||extra.default.svc.cluster.local";


type Row = readonly [url: string, decision: string, headers?: Record<string, string>, method?: string];

const ISTIOSERVER: readonly Row[] = [
  [SERVER, "istioserver v1 25, istioserver v2 25, istioserver v3 50"],
  ["http://elsewhere.test:8084/", "PassthroughCluster"],
];
const ISTIOSERVER_PILOT: readonly Row[] = [
  [SERVER, "istioserver v1 25, istioserver v2 25, istioserver v3 50"],
  ["http://elsewhere.test:8084/", "unknownHost"],
];
const BOOKINFO: readonly Row[] = [
  ["http://productpage:9080/productpage", "productpage *"],
  ["http://productpage.default:9080/static/css/a.css", "productpage *"],
  ["http://productpage:9080/login", "productpage *"],
  ["http://productpage:9080/api/v1/products/0/reviews", "productpage *"],
  ["http://productpage:9080/logout", "noRoute"],
  ["http://productpage:9080/productpage/1", "noRoute"],
  ["http://reviews:9080/reviews/0", "reviews v2", { "end-user": "jason" }],
  ["http://reviews.default.svc.cluster.local:9080/reviews/0", "reviews v1 80, reviews v3 20", { "end-user": "tom" }],
  ["http://ratings:9080/ratings/0", "ratings v1", { "end-user": "jason" }],
];
const BOOKINFO_PILOT: readonly Row[] = [
  ["http://reviews.default.svc.cluster.local:9080/", "reviews v2", { "end-user": "jason" }],
  ["http://reviews.default.svc.cluster.local:9080/reviews/0", "reviews v3", { cookie: "a=b;user=tester" }],
  ["http://reviews.default.svc.cluster.local:9080/", "reviews v1 80, reviews v3 20", { cookie: "user=tester" }],
  ["http://ratings.default.svc.cluster.local:9080/", "ratings v1", { "end-user": "tom" }],
  ["http://details.default.svc.cluster.local:9080/details/0", "details v1"],
];

const KS = "http://web.ks.example.com";
const ALL_HEADERS = { "x-exact": "1", "x-prefix": "prefixed", "x-regex": "respond", "x-present": "" };
const THREE_WAY = "web v1 33, web v2 33, web v3 34";
const ALL_QUERY = "?q-exact=1&q-prefix=pp&q-regex=42";
const KITCHEN_SINK: readonly Row[] = [
  // Every kind of match at once, and each of them failing.
  [`${KS}/exact/path${ALL_QUERY}`, "web v1", ALL_HEADERS],
  [`${KS}/EXACT/path${ALL_QUERY}`, "web v1", ALL_HEADERS],
  [`${KS}/exact/path${ALL_QUERY}`, THREE_WAY, ALL_HEADERS, "POST"],
  [`${KS}/exact/path/${ALL_QUERY}`, THREE_WAY, ALL_HEADERS],
  [`${KS}/exact/path${ALL_QUERY}`, THREE_WAY, { ...ALL_HEADERS, "x-exact": "12" }],
  [`${KS}/exact/path${ALL_QUERY}`, THREE_WAY, { ...ALL_HEADERS, "x-prefix": "no pre" }],
  [`${KS}/exact/path${ALL_QUERY}`, THREE_WAY, { ...ALL_HEADERS, "x-regex": "a re" }],
  [`${KS}/exact/path${ALL_QUERY}`, THREE_WAY, { "x-exact": "1", "x-prefix": "pre", "x-regex": "re" }],
  [`${KS}/exact/path${ALL_QUERY}`, THREE_WAY, { ...ALL_HEADERS, "x-no-exact": "n" }],
  [`${KS}/exact/path${ALL_QUERY}`, "web v1", { ...ALL_HEADERS, "x-no-exact": "m" }],
  [`${KS}/exact/path${ALL_QUERY}`, THREE_WAY, { ...ALL_HEADERS, "x-no-present": "" }],
  [`${KS}/exact/path?q-exact=2&q-prefix=pp&q-regex=42`, THREE_WAY, ALL_HEADERS],
  [`${KS}/exact/path?q-exact=1&q-prefix=qp&q-regex=42`, THREE_WAY, ALL_HEADERS],
  [`${KS}/exact/path?q-exact=1&q-prefix=pp&q-regex=4x`, THREE_WAY, ALL_HEADERS],
  [`${KS}/or`, "web v1"],
  [`${KS}/OR`, THREE_WAY],
  [`${KS}/only-other-app`, THREE_WAY],
  [`${KS}/pREFIX/a`, "web v2"],
  [`${KS}/noslashes`, "web v2"],
  [`${KS}/items/42/parts`, "web v3", {}, "HEAD"],
  [`${KS}/items/42/parts`, THREE_WAY, {}, "PUT"],
  [`${KS}/items/x`, THREE_WAY],
  [`${KS}/redirect-full`, "redirect 308"],
  [`${KS}/redirect-derive`, "redirect 302"],
  [`${KS}/redirect-prefix/a`, "redirect 301"],
  [`${KS}/direct`, "direct 418"],
  [`${KS}/direct-bytes`, "direct 200"],
  [`${KS}/direct-empty`, "direct 204"],
  [`${KS}/old/a`, "web *"],
  [`${KS}/headers`, "web v1 60, web v2 40"],
  [`${KS}/delegated/a`, "canary *"],
  [`${KS}/delegated/b`, "web v2"],
  [`${KS}/unknown-host`, "nosuch *"],
  [`${KS}/unknown-subset`, "web nosuch"],
  ["http://x.wild.ks.example.com/", "canary *"],
  ["http://elsewhere.test/", "PassthroughCluster"],
];
const SINK = "http://sink.default.svc.cluster.local:8090";
const SINK_PILOT: readonly Row[] = [
  [`${SINK}/prefix/a`, "sink v1 30, sink v2 70", {}, "PUT"],
  [`${SINK}/re12`, "sink v1 30, sink v2 70"],
  [`${SINK}/re12`, "sink v1", {}, "PUT"],
  [`${SINK}/never-source`, "sink v1"],
  [`${SINK}/redirect`, "redirect 301"],
  [`${SINK}/other-service`, "other *"],
  [`${SINK}/absent-subset`, "sink v9"],
  [`${SINK}/port-name`, "BlackHoleCluster"],
  [`${SINK}/after-catch-all`, "sink v1"],
];

/** The worlds after the first push. Not in them: inbound listeners; tables of 0.8.0 stand in its listeners. */
const FIRST: readonly (readonly [path: string, counts: Counts, decisions: readonly Row[]])[] = [
  [
    `${OF_0_8}/istioserver/basic`,
    { clusters: 7, tables: "8084 http_proxy", hosts: 2, endpoints: 6, listeners: 2 },
    ISTIOSERVER_PILOT,
  ],
  [
    `${OF_0_8}/bookinfo/basic`,
    { clusters: 18, tables: "50051 9080 http_proxy", hosts: 10, endpoints: 17, listeners: 5 },
    BOOKINFO_PILOT,
  ],
  [
    `${OF_0_8}/bookinfo/mesh-httpproxy`,
    { clusters: 18, tables: "50051 9080 http_proxy", hosts: 10, endpoints: 17, listeners: 6 },
    BOOKINFO_PILOT,
  ],
  [
    `${OF_0_8}/kitchen_sink/basic`,
    { clusters: 25, tables: "80 8090 8091 8092 8095 8099 http_proxy", hosts: 32, endpoints: 23, listeners: 9 },
    // A weight of 0 became 100.
    [...SINK_PILOT, [`${SINK}/zero-weight`, "sink v1 50, sink v2 50"]],
  ],
  [
    `${OF_1_0}/istioserver/basic`,
    { clusters: 7, tables: "8084 http_proxy", hosts: 2, endpoints: 6, listeners: 2 },
    ISTIOSERVER_PILOT,
  ],
  [
    `${OF_1_0}/bookinfo/basic`,
    { clusters: 18, tables: "50051 9080 http_proxy", hosts: 10, endpoints: 17, listeners: 5 },
    BOOKINFO_PILOT,
  ],
  [
    `${OF_1_0}/bookinfo/mesh-httpproxy`,
    { clusters: 18, tables: "50051 9080 http_proxy", hosts: 10, endpoints: 17, listeners: 6 },
    BOOKINFO_PILOT,
  ],
  [
    `${OF_1_0}/kitchen_sink/basic`,
    { clusters: 27, tables: "80 8090 8091 8092 8095 8099 http_proxy", hosts: 32, endpoints: 24, listeners: 9 },
    [...SINK_PILOT, [`${SINK}/zero-weight`, "sink v2"]],
  ],
  ...["sotw", "sotw-http-proxy", "delta"].flatMap((session) => {
    // The listener of the explicit proxy.
    const more = session === "sotw" ? 0 : 1;
    return [
      [
        `${ISTIOD}/istioserver/${session}`,
        { clusters: 7, tables: "8084 http_proxy", hosts: 4, endpoints: 18, listeners: 2 + more },
        ISTIOSERVER,
      ],
      [
        `${ISTIOD}/bookinfo/${session}`,
        { clusters: 15, tables: "9080 http_proxy", hosts: 10, endpoints: 18, listeners: 2 + more },
        BOOKINFO,
      ],
      [
        `${ISTIOD}/kitchen_sink/${session}`,
        {
          clusters: 46,
          tables: "50051 7777 80 8080 8085 9090 auto.ks.example.com:7000 http_proxy",
          hosts: 38,
          endpoints: 54,
          listeners: 14 + more,
        },
        KITCHEN_SINK,
      ],
    ] as const;
  }),
  [
    `${ISTIOD}/kitchen_sink/sotw-sidecar-resource`,
    { clusters: 25, tables: "50051 80 9090 http_proxy", hosts: 11, endpoints: 43, listeners: 7 },
    // Its labels are not those of the rule, and what the Sidecar resource does not list is refused (REGISTRY_ONLY).
    [
      [`${KS}:9090/exact/path${ALL_QUERY}`, THREE_WAY, ALL_HEADERS],
      [`${KS}:9090/or`, "web v1"],
      ["http://canary.ks.example.com/", "canary *"],
      ["http://auto.ks.example.com:9090/", "direct 502"],
      ["http://elsewhere.test/", "direct 502"],
    ],
  ],
  [
    `${ISTIOD}/thousand/sotw`,
    { clusters: 3003, tables: "8084 http_proxy", hosts: 2002, endpoints: 20_000, listeners: 2 },
    [
      ["http://svc-0400.default.svc.cluster.local:8084/", "svc-0400 v1 97, svc-0400 v2 3"],
      ["http://svc-0401.default:8084/", "svc-0401 v1 98, svc-0401 v2 2"],
      ["http://svc-1000.default:8084/", "PassthroughCluster"],
    ],
  ],
];

for (const [path, counts, decisions] of FIRST) {
  Deno.test(`${path}: the world of the first push`, () =>
    replaying(path, async (replay) => {
      await replay.play("start");
      assert.equal(replay.status.step, "synced");
      assert.deepEqual(countsOf(replay.world), counts);
      assert.deepEqual(replay.source.problems().filter(({ severity }) => severity === "error"), []);
      for (const [url, decision, headers, method] of decisions) {
        assert.equal(decide(replay.world, url, headers, method), decision, `${method ?? "GET"} ${url} ${JSON.stringify(headers)}`);
      }
    }));
}

/** Ports of the workload itself: of Pilots that send a listener for each. The client of the others' recordings has no service. */
const OWN_PORTS: readonly (readonly [path: string, ports: string])[] = [
  [`${OF_0_8}/bookinfo/basic`, "10.1.1.7:3333 tcp 3333, 10.1.1.7:9080 http 9080, 10.1.1.7:9999 tcp 9999"],
  [`${OF_1_0}/bookinfo/basic`, "10.1.1.7:3333 tcp 3333, 10.1.1.7:9080 http 9080, 10.1.1.7:9999 tcp 9999"],
  [`${ISTIOD}/bookinfo/sotw`, ""],
];

for (const [path, ports] of OWN_PORTS) {
  Deno.test(`${path}: ports that lead to the application`, () =>
    replaying(path, async (replay) => {
      await replay.play("start");
      const told = [...replay.world.program.inbound?.values() ?? []]
        .map(({ address, port, protocol, localPort, refused }) =>
          `${address}:${port} ${protocol} ${refused ?? localPort}`
        );
      assert.equal(told.sort().join(", "), ports);
    }));
}

/** What a step of istiod's updates changes, beside the counts; `nothing`: not even a publication. */
interface Step {
  readonly answers: string;
  readonly answersDelta?: string;
  readonly counts: Counts;
  readonly weights: string;
  readonly v3: string;
  readonly nothing?: true;
}

const ALL_V3 = "10.0.3.1:18084 10.0.3.2:18084 10.0.3.3:8084";
const NINE = `10.0.1.1:18084 10.0.1.2:18084 10.0.1.3:18084 10.0.2.1:18084 10.0.2.2:18084 10.0.2.3:18085 ${ALL_V3}`;
const START: Step = {
  answers: "CDS EDS LDS RDS",
  counts: { clusters: 7, tables: "8084 http_proxy", hosts: 4, endpoints: 18, listeners: 3 },
  weights: "istioserver v1 25, istioserver v2 25, istioserver v3 50",
  v3: ALL_V3,
};
const SHIFTED: Step = {
  ...START,
  answers: "CDS LDS RDS",
  weights: "istioserver v1 10, istioserver v2 20, istioserver v3 70",
};
const WITH_EXTRA: Counts = { ...START.counts, clusters: 8, hosts: 6, endpoints: 19 };
const RESTORED: Step = { ...START, answers: "CDS EDS LDS RDS EDS", counts: WITH_EXTRA };

/** In the order of config/steps.txt. */
const UPDATES: Readonly<Record<string, Step>> = {
  "start": START,
  "01-vs-weights-10-20-70": SHIFTED,
  "02-add-serviceentry-same-port": { ...SHIFTED, answers: "CDS LDS RDS EDS", counts: WITH_EXTRA },
  "03-add-serviceentry-new-port": {
    ...SHIFTED,
    answers: "CDS LDS RDS EDS RDS",
    counts: { clusters: 9, tables: "8084 9095 http_proxy", hosts: 9, endpoints: 20, listeners: 4 },
  },
  "04-delete-serviceentry-same-port": {
    ...SHIFTED,
    counts: { clusters: 8, tables: "8084 9095 http_proxy", hosts: 7, endpoints: 19, listeners: 4 },
  },
  "05-delete-serviceentry-new-port": SHIFTED,
  "06-endpoint-removed": { ...SHIFTED, answers: "EDS", counts: { ...START.counts, endpoints: 16 } },
  "07-endpoint-back": { ...SHIFTED, answers: "EDS" },
  "08-all-v3-endpoints-removed": {
    ...SHIFTED,
    answers: "EDS",
    counts: { ...START.counts, endpoints: 12 },
    v3: "",
  },
  "09-v3-endpoints-back": { ...SHIFTED, answers: "EDS" },
  // The rule still leads there: 70 % of the requests find no cluster, as in Envoy.
  "10-subset-v3-removed-vs-still-uses-it": {
    ...SHIFTED,
    answers: "CDS EDS LDS RDS",
    counts: { ...START.counts, clusters: 6, endpoints: 15 },
    v3: "-",
  },
  "11-subset-v3-back": { ...SHIFTED, answers: "CDS EDS LDS RDS EDS" },
  "12-vs-broken-yaml-syntax": { ...SHIFTED, answers: "", nothing: true },
  "13-add-serviceentry-while-broken": { ...SHIFTED, answers: "", nothing: true },
  "14-vs-fixed-original-weights": RESTORED,
  "15-vs-wrong-type": { ...RESTORED, answers: "", nothing: true },
  "16-vs-unknown-field": { ...SHIFTED, counts: WITH_EXTRA },
  "17-vs-negative-weight": { ...SHIFTED, answers: "", counts: WITH_EXTRA, nothing: true },
  "18-vs-fixed": { ...SHIFTED, answers: "", counts: WITH_EXTRA, nothing: true },
  "19-vs-deleted": { ...SHIFTED, counts: WITH_EXTRA, weights: "istioserver *" },
  "20-everything-deleted": {
    answers: "CDS EDS LDS RDS",
    // Nothing is subscribed any more that an EDS answer would bring.
    answersDelta: "CDS LDS RDS",
    counts: { clusters: 3, tables: "http_proxy", hosts: 1, endpoints: 0, listeners: 2 },
    weights: "PassthroughCluster",
    v3: "-",
  },
};

for (const session of ["updates", "updates-delta"]) {
  Deno.test(`${ISTIOD}/istioserver/${session}: the world after each of the 20 steps`, () =>
    replaying(`${ISTIOD}/istioserver/${session}`, async (replay) => {
      assert.deepEqual(replay.steps, Object.keys(UPDATES));
      for (const [step, wanted] of Object.entries(UPDATES)) {
        const { publications } = replay;
        const before = replay.world;
        const answers = session === "updates" ? wanted.answers : wanted.answersDelta ?? wanted.answers;
        assert.equal(await replay.play(step), answers, step);
        assert.deepEqual(countsOf(replay.world), wanted.counts, step);
        assert.equal(decide(replay.world, SERVER), wanted.weights, step);
        assert.equal(endpointsOf(replay.world, V3), wanted.v3, step);
        if (wanted.v3 === ALL_V3 && !step.startsWith("06")) assert.equal(endpointsOf(replay.world, WHOLE), NINE, step);
        assert.equal(replay.publications === publications, wanted.nothing === true, step);
        if (wanted.answers === "EDS") {
          assert.equal(replay.world.program.routeConfigurations, before.program.routeConfigurations, "no route is touched");
        }
        const extra = wanted.counts.clusters === 8 && wanted.counts.listeners === 3 || step.startsWith("03");
        assert.equal(endpointsOf(replay.world, EXTRA), extra ? "10.0.5.1:18084" : "-", step);
        assert.equal(decide(replay.world, "http://extra:8084/"), extra ? "extra *" : "PassthroughCluster", step);
        assert.equal(replay.status.step, "synced");
        assert.deepEqual(replay.source.problems(), [], step);
      }
      assert.equal(decide(replay.world, "http://extra2:9095/"), "PassthroughCluster");
    }));
}

Deno.test(`${ISTIOD}/istioserver/nack: what the recorder refused on purpose is good, and its next version too`, () =>
  replaying(`${ISTIOD}/istioserver/nack`, async (replay) => {
    await replay.play("start");
    assert.equal(decide(replay.world, SERVER), START.weights);
    assert.equal(await replay.play("01-syncz-after-nack"), "");
    assert.equal(await replay.play("02-vs-weights-10-20-70"), "CDS LDS RDS");
    assert.equal(decide(replay.world, SERVER), SHIFTED.weights);
    assert.deepEqual(replay.status.types.map(({ nacks }) => nacks), [0, 0, 0, 0]);
  }));


const [BASE, ADDED] = ["8084 http_proxy", "8084 8085 http_proxy"];
const QUARTERS = "istioserver v1 25, istioserver v2 25, istioserver v3 50";
const TENTHS = "istioserver v1 10, istioserver v2 20, istioserver v3 70";

/** Step -> decision, clusters, tables, endpoints of the whole service; no answers: not even a publication. */
const UPDATES_OF_0_8: Readonly<Record<string, readonly [string, number, string, number, "no answers"?]>> = {
  "start": [QUARTERS, 7, BASE, 3],
  "weights 25/25/50 -> 10/20/70": [TENTHS, 7, BASE, 3],
  // 0.8.0 makes 100 of each weight of 0.
  "weights -> 0/0/100 (two zero weights)": ["istioserver v1 33, istioserver v2 34, istioserver v3 33", 7, BASE, 3],
  "file rewritten with the same content": ["istioserver v1 33, istioserver v2 34, istioserver v3 33", 7, BASE, 3, "no answers"],
  "weights back to 25/25/50": [QUARTERS, 7, BASE, 3],
  "ServiceEntry extra (port 8085) added": [QUARTERS, 8, ADDED, 3],
  "fourth endpoint added to istioserver": [QUARTERS, 8, ADDED, 4],
  "fourth endpoint removed": [QUARTERS, 8, ADDED, 3],
  "ServiceEntry extra deleted": [QUARTERS, 7, BASE, 3],
  "VirtualService routes to subset v9 which the DestinationRule lacks": ["istioserver v1 50, istioserver v9 50", 7, BASE, 3],
  "VirtualService broken: weights sum to 190": ["istioserver v1 50, istioserver v9 50", 7, BASE, 3, "no answers"],
  "while broken: ServiceEntry extra added": ["istioserver v1 50, istioserver v9 50", 7, BASE, 3, "no answers"],
  "VirtualService repaired (25/25/50); the held-back ServiceEntry follows": [QUARTERS, 8, ADDED, 3],
  "VirtualService broken: unknown field": [QUARTERS, 8, ADDED, 3, "no answers"],
  "VirtualService broken: YAML syntax error": [QUARTERS, 8, ADDED, 3, "no answers"],
  "VirtualService repaired (10/20/70)": [TENTHS, 8, ADDED, 3],
  "VirtualService deleted": ["istioserver *", 8, ADDED, 3],
  "DestinationRule deleted": ["istioserver *", 5, ADDED, 3],
  // By `http_proxy`, that the recorder did not ask for again; the clusters are gone.
  "ServiceEntry istioserver deleted": [QUARTERS, 4, "8085 http_proxy", 0],
  "ServiceEntry, DestinationRule, VirtualService put back together": [QUARTERS, 8, ADDED, 3],
  "ten changes 250 ms apart": [QUARTERS, 8, ADDED, 3],
  "for 65 s": [QUARTERS, 8, ADDED, 3],
};

Deno.test(`${OF_0_8}/istioserver/updates: the world after each step, pushes sent twice and the one of each minute`, () =>
  replaying(`${OF_0_8}/istioserver/updates`, async (replay) => {
    assert.deepEqual(replay.steps, Object.keys(UPDATES_OF_0_8));
    for (const [step, [decision, clusters, tables, endpoints, nothing]] of Object.entries(UPDATES_OF_0_8)) {
      const { publications } = replay;
      const answers = await replay.play(step);
      assert.equal(answers === "", nothing !== undefined, step);
      assert.equal(decide(replay.world, SERVER), decision, step);
      const counts = countsOf(replay.world);
      assert.deepEqual([counts.clusters, counts.tables], [clusters, tables], step);
      assert.equal(endpointsOf(replay.world, WHOLE).split(" ").filter((e) => e !== "-").length, endpoints, step);
      const ofV1 = endpoints === 4 ? "127.0.0.1:9001 127.0.0.1:9004" : "127.0.0.1:9001";
      assert.equal(endpointsOf(replay.world, V1), clusters >= 7 ? ofV1 : "-", step);
      if (nothing) assert.equal(replay.publications, publications, step);
      assert.deepEqual(replay.source.problems(), [], step);
    }
    // The recorder asked for the tables by number, as it read in the listeners; we have them in the listeners.
    assert.deepEqual([...replay.plane.call.subscribed.RDS], ["http_proxy"]);
    assert.ok(replay.plane.call.requests.every(({ withNode, type, names }) =>
      // Without a node 0.8.0 dies; without names it answers for ever.
      withNode && (type === "CDS" || type === "LDS" || names.length > 0)
    ));
  }, [`${OF_0_8}/istioserver/basic/005-rds.bin`]));

import assert from "node:assert/strict";
import { istioserver } from "../../tests/harness/conf.ts";
import { configOf } from "../../tests/harness/world.ts";
import { diagnostic } from "../core/diagnostics.ts";
import { compileRules } from "../discovery/offline.ts";
import type { SourceStatus, TypeStatus, World } from "../discovery/types.ts";
import { EMPTY_PROGRAM } from "../model/model.ts";
import {
  ageText,
  describeStep,
  formatSync,
  type PermissionsReport,
  type SyncInput,
  syncReport,
} from "./sync.ts";

const NOW = 1_000_000;
const RULES = compileRules(
  new Map([["rules.yaml", istioserver({ v1: 8081, v2: 8082 }, { v1: 25, v2: 75 })]]),
);

const world = (more: Partial<World> = {}): World => ({
  revision: 4,
  program: RULES.program,
  tables: RULES.tables,
  diagnostics: [],
  publishedMs: NOW - 61_000,
  stats: { hosts: 1 },
  ...more,
});

const typeOf = (type: string, more: Partial<TypeStatus> = {}): TypeStatus => ({
  type,
  version: "2026-08-01T10:00:00Z/12",
  nonce: "8c1f",
  receivedMs: NOW - 12_000,
  resources: 3,
  subscribed: "*",
  sent: 2,
  received: 1,
  bytes: 4_096,
  nacks: 0,
  ...more,
});

const connection = (more: Partial<SourceStatus> = {}): SourceStatus => ({
  name: "pilotv3",
  addresses: [
    { address: "grpc://istiod-a:15010", inUse: false },
    { address: "grpc://istiod-b:15010", inUse: true },
  ],
  step: "synced",
  sinceMs: NOW - 3_600_000,
  mode: "delta",
  node: "sidecar~10.0.0.7~shop-1.shop~shop.svc.cluster.local",
  connects: 3,
  failures: 1,
  types: [typeOf("CDS"), typeOf("RDS", { subscribed: 2, nacks: 1, version: "" })],
  ...more,
});

const PERMISSIONS: PermissionsReport = {
  isolated: true,
  guard: "runtime",
  net: ["10.0.0.0/8", "127.0.0.0/8"],
  read: ["/etc/mesh"],
  restart: [],
  denied: [],
};

function reportOf(more: Partial<SyncInput> = {}) {
  const config = configOf();
  return syncReport({
    config: {
      serviceDiscovery: { type: "pilotv3", address: "grpc://istiod-a:15010,istiod-b", refreshIntervalMs: 0 },
      router: { ...config.router, infra: "pilotv3", address: "grpc://istiod-a:15010,istiod-b" },
    },
    world: world(),
    problems: [],
    status: [connection()],
    permissions: PERMISSIONS,
    reasons: [],
    nowMs: NOW,
    version: "1.2.3",
    ...more,
  });
}

Deno.test("sync: a synced control plane, for people", () => {
  assert.equal(
    formatSync(reportOf({ problems: [diagnostic("D102", "x", {})] })),
    `agent     ready
services  pilotv3 grpc://istiod-a:15010,istiod-b
rules     pilotv3 grpc://istiod-a:15010,istiod-b
in force  revision 4, published 1m01s ago
          1 table, 2 virtual hosts, 5 clusters, 4 endpoints
          last change: hosts 1
findings  0 errors, 1 warning  (see /diagnostics?format=text)
rights    2 places to connect to, held to by the runtime

pilotv3
  step         synced for 1h00m
  mode         delta
  node         sidecar~10.0.0.7~shop-1.shop~shop.svc.cluster.local
  address      grpc://istiod-a:15010
               grpc://istiod-b:15010  in use
  connections  3, 1 failed

  TYPE  VERSION                  NONCE  AGE  RESOURCES  SUBSCRIBED  SENT  RECEIVED   BYTES  NACKS
  CDS   2026-08-01T10:00:00Z/12  8c1f   12s          3         all     2         1  4.1 kB      0
  RDS   -                        8c1f   12s          3           2     2         1  4.1 kB      1`,
  );
});

Deno.test("sync: what fails, with its hint, the next try and what was refused", () => {
  const text = formatSync(reportOf({
    world: world({ revision: 0, program: EMPTY_PROGRAM }),
    reasons: ["no rules are in yet"],
    status: [connection({
      step: "waiting",
      sinceMs: NOW - 900,
      reason: '[D201] Cannot find "istiod-a": there is no such name\n    Mend serviceDiscovery.address.',
      nextTryMs: NOW + 4_200,
      types: [typeOf("RDS", {
        nacks: 1,
        lastNack: { version: "v9", text: 'Cluster "a" is bad\nsecond line', atMs: NOW - 90_000 },
      })],
    })],
  }));
  assert.match(text, /^agent {5}not ready: no rules are in yet\n/);
  assert.match(text, /\nin force {2}nothing yet: requests are answered with 503\n/);
  assert.match(text, /\n {2}step +waiting for 900ms\n/);
  assert.match(text, /\n {2}next try +in 4s\n/);
  assert.match(text, /\n {2}failure {6}\[D201\] Cannot find .*\n {15}Mend serviceDiscovery\.address\.\n/);
  assert.match(text, /\n {2}refused: RDS version v9, 1m30s ago\n {4}Cluster "a" is bad\n {4}second line$/);
});

Deno.test("sync: what never came is said, long versions keep their end", () => {
  const version = "2026-08-01T10:00:00Z/12-and-much-more";
  const { receivedMs: _, ...never } = typeOf("EDS", { version: "", nonce: "" });
  const text = formatSync(reportOf({ status: [connection({ types: [never, typeOf("CDS", { version })] })] }));
  assert.match(text, /\n {2}EDS {3}- +- +never +3 /);
  assert.match(text, / …T10:00:00Z\/12-and-much-more | ….{23} /);
});

Deno.test("sync: rights: what was denied, what wants a restart, and when nothing holds the agent", () => {
  const rightsOf = (more: Partial<PermissionsReport>) =>
    /^rights[^]*?(?=\n\n)/m.exec(formatSync(reportOf({ permissions: { ...PERMISSIONS, ...more } })))?.[0];
  const denial = { code: "P209", wanted: "want more", firstMs: NOW - 9_000, lastMs: NOW - 2_000 } as const;
  assert.equal(
    rightsOf({
      guard: "agent",
      restart: ["+connect 203.0.113.5", "-read /x"],
      denied: [
        { ...denial, what: "connect 203.0.113.5:80", count: 3 },
        { ...denial, what: "connect 203.0.113.6:80", count: 1 },
      ],
    }),
    `rights    2 places to connect to, held to by the agent
          want a restart: +connect 203.0.113.5, -read /x
          denied: connect 203.0.113.5:80, 3 times, last 2s ago  [P209] want more
          denied: connect 203.0.113.6:80, once, last 2s ago  [P209] want more`,
  );
  assert.equal(rightsOf({ guard: "nobody" }), "rights    connects to any address");
  assert.equal(rightsOf({ isolated: false }), "rights    those of the process");
});

Deno.test("sync: files have no connection, only what is in force", () => {
  const config = configOf();
  const report = reportOf({ config, status: [] });
  assert.deepEqual(report.connections, []);
  assert.match(
    formatSync(report),
    /^agent {5}ready\nservices {2}file\nrules {5}file\nin force {2}revision 4,/,
  );
});

Deno.test("sync: each step in words, with the address in use and the last failure", () => {
  const said = (more: Partial<SourceStatus>) => describeStep(connection(more), NOW);
  const { receivedMs: _, ...missing } = typeOf("RDS");
  assert.equal(said({ step: "DNS" }), "pilotv3 looks up the host of grpc://istiod-b:15010");
  assert.equal(said({ step: "TCP" }), "pilotv3 connects to grpc://istiod-b:15010");
  assert.equal(said({ step: "TLS" }), "pilotv3 is at the TLS handshake with grpc://istiod-b:15010");
  assert.equal(said({ step: "token" }), "pilotv3 reads its token for grpc://istiod-b:15010");
  assert.equal(said({ step: "stream" }), "pilotv3 opens its stream to grpc://istiod-b:15010");
  assert.equal(
    said({ step: "first sync", types: [typeOf("CDS"), missing] }),
    "pilotv3 waits for RDS of grpc://istiod-b:15010",
  );
  assert.equal(
    said({ step: "waiting", addresses: [], nextTryMs: NOW + 2_000, reason: "[D202] refused\nhint" }),
    "pilotv3 has no connection to nowhere, next try in 2s; last failure: [D202] refused",
  );
  assert.equal(said({ step: "synced" }), "pilotv3 is synced with grpc://istiod-b:15010");
  assert.equal(said({ step: "closed" }), "pilotv3 is closed");
});

Deno.test("sync: ages", () => {
  assert.deepEqual(
    [-5, 0, 999, 1_000, 59_999, 60_000, 3_599_000, 3_600_000, 86_399_000, 86_400_000, 200_000_000].map(
      ageText,
    ),
    ["0ms", "0ms", "999ms", "1s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d0h", "2d7h"],
  );
});

Deno.test("endpoints are counted by the name that EDS has them under", () => {
  const cluster = { type: "EDS", lbPolicy: "ROUND_ROBIN", connectTimeout: "1s" } as const;
  const endpoints = [{ lbEndpoints: [{ address: "10.0.0.1", port: 80 }, { address: "10.0.0.2", port: 80 }] }];
  const program = {
    ...EMPTY_PROGRAM,
    clusters: new Map([["c", { ...cluster, name: "c", edsServiceName: "e" }]]),
    loadAssignments: new Map([["e", { clusterName: "e", endpoints }]]),
  };
  assert.equal(reportOf({ world: world({ program }) }).world.endpoints, 2);
});

Deno.test("versions and nonces of a control plane do not steer the terminal", () => {
  const types = [
    typeOf("CDS", {
      version: "1\x1b[2J",
      nonce: "\n",
      lastNack: { version: "\x1b]0;x", text: "no", atMs: NOW },
    }),
  ];
  const text = formatSync(reportOf({ status: [connection({ types })] }));
  assert.match(text, /CDS {3}1\\u001b\[2J +\\u000a /);
  assert.match(text, /refused: CDS version \\u001b]0;x,/);
});

Deno.test("sync: service ports with the application's check", () => {
  const port = { protocol: "rest", application: "127.0.0.1:8080", from: "settings" } as const;
  const text = formatSync(reportOf({
    inbound: [
      { ...port, address: "10.0.0.5:8084", check: "failing", reason: "GET / was answered 500\nx" },
      { ...port, address: "10.0.0.5:8085", check: "passing" },
      { ...port, address: "10.0.0.5:8086", check: "pending" },
      { ...port, address: "10.0.0.5:8087", check: "none", from: "listener a" },
    ],
  }));
  const rows = text.split("\n");
  const at = rows.findIndex((row) => row.startsWith("inbound"));
  assert.equal(
    rows[at]?.replace(/ +/g, " ").replace(/500.*x$/, "500"),
    "inbound 10.0.0.5:8084 rest to 127.0.0.1:8080, check fails: GET / was answered 500",
  );
  assert.match(rows[at + 1]!, /^ +10\.0\.0\.5:8085 rest to 127\.0\.0\.1:8080, check passes$/);
  assert.match(rows[at + 2]!, /8086 rest to 127\.0\.0\.1:8080, check pending$/);
  assert.match(rows[at + 3]!, /8087 rest to 127\.0\.0\.1:8080 {2}\(listener a\)$/);
  assert.equal(formatSync(reportOf()).includes("inbound"), false);
});

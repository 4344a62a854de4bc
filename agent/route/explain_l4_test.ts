import assert from "node:assert/strict";
import type { Program } from "../model/model.ts";
import { formatExplanation } from "./explain.ts";
import { explainConnection, isConnection } from "./explain_l4.ts";
import { buildRouteTables } from "./table.ts";

const program: Program = {
  routeConfigurations: new Map(),
  clusters: new Map(
    ["outbound|443||a.test", "outbound|443|v1|a.test", "outbound|80||web.test", "outbound|443||b.test"].map((
      name,
    ) => [
      name,
      { name, type: "EDS", lbPolicy: "ROUND_ROBIN", connectTimeout: "1s" },
    ]),
  ),
  loadAssignments: new Map([["outbound|443|v1|a.test", {
    clusterName: "outbound|443|v1|a.test",
    endpoints: [{ lbEndpoints: [{ address: "10.0.0.1", port: 8443 }] }],
  }]]),
  listeners: new Map([["10.1.1.1_443", {
    name: "10.1.1.1_443",
    address: "10.1.1.1",
    port: 443,
    filterChains: [{
      match: { serverNames: ["a.test"] },
      tcp: {
        statPrefix: "x",
        weightedClusters: [
          { name: "outbound|443|v1|a.test", weight: 3 },
          { name: "outbound|443|v2|a.test", weight: 1 },
        ],
        idleTimeout: "5s",
      },
      service: "a.test",
      origin: { file: "vs.yaml", line: 7, column: 3 },
    }],
  }]]),
};
const tables = buildRouteTables(program);
const tell = (url: string): string => formatExplanation(explainConnection(program, tables, url, "default"));

Deno.test("explain: a TLS connection by server name, its shares and its limits", () => {
  assert.equal(isConnection("TLS://a.test"), true);
  assert.equal(isConnection("http://a.test"), false);
  assert.equal(
    tell("tls://a.test"),
    `TLS connection to a.test
  Listener 10.1.1.1_443: outbound|443|v1|a.test (75 %), outbound|443|v2|a.test (25 %)

Filter chains
  => route 1 "server name a.test"  vs.yaml:7:3

Destinations
      75 %  outbound|443|v1|a.test  weight 3
            10.0.0.1:8443
      25 %  outbound|443|v2|a.test  weight 1
            ! no DestinationRule of a.test defines subset v2: 503 NC

Actions
  waits for the client's TLS hello before it chooses
  closed after 5s without a byte`,
  );
});

Deno.test("explain: connections that no chain takes, and hosts without TCP rules", () => {
  assert.match(tell("tcp://a.test:443"), /No chain of listener 10\.1\.1\.1_443 takes it: closed \(NR\)/);
  assert.match(
    tell("tcp://web.test:80"),
    /No TCP or TLS rule holds: goes to the whole service, outbound\|80\|\|web\.test/,
  );
  assert.doesNotMatch(tell("tcp://web.test:80"), /unless/);
  // Where b.test has that address, the data path finds the listener.
  assert.match(
    tell("tcp://b.test:443"),
    /whole service, outbound\|443\|\|b\.test[^]*Actions\n {2}unless a listener on port 443 has the address of b\.test: ask for tcp:\/\/ADDRESS:443/,
  );
  assert.match(tell("tcp://10.1.1.1:443"), /No chain of listener 10\.1\.1\.1_443 takes it/);
  assert.match(tell("tcp://nobody:1"), /No rule knows host nobody/);
  for (const url of ["tcp://a.test", "tcp://:1", "tls://", "tcp://a:99999", "tcp://u@a:1"]) {
    assert.throws(() => tell(url), RangeError, url);
  }
});

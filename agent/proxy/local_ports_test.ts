/** Local ports in memory: what is chosen, how connections end, what is recorded. */
import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import type { Listener, StreamAddress } from "../core/ports.ts";
import type { Cluster, FilterChain, Program, TcpProxy } from "../model/model.ts";
import type { RequestRecord } from "../observe/types.ts";
import { buildRouteTables } from "../route/table.ts";
import { configOf } from "../../tests/harness/world.ts";
import { startLocalPorts } from "./local_ports.ts";
import { createContext, type ProxyOptions } from "./proxy.ts";
import { FakeClock, got, MemoryStream, pair, send, settle } from "./proxy_fixture_test.ts";

const cluster = (name: string): Cluster => ({
  name,
  type: "EDS",
  lbPolicy: "ROUND_ROBIN",
  connectTimeout: "1s",
});

interface Options {
  readonly tcp?: Partial<TcpProxy>;
  readonly match?: FilterChain["match"];
  readonly endpoints?: readonly string[];
  readonly refused?: ReadonlySet<string>;
  readonly revision?: number;
  readonly listen?: StreamAddress;
  /** Of the endpoints; default 1. */
  readonly port?: number;
}

function rig(options: Options = {}) {
  const clock = new FakeClock();
  const name = "outbound|3306||db.test";
  const tcp: TcpProxy = { statPrefix: "x", cluster: name, ...options.tcp };
  const program: Program = {
    routeConfigurations: new Map(),
    clusters: new Map([[name, cluster(name)]]),
    loadAssignments: new Map([[name, {
      clusterName: name,
      endpoints: [{
        lbEndpoints: (options.endpoints ?? ["10.0.0.1"]).map((address) => ({
          address,
          port: options.port ?? 1,
        })),
      }],
    }]]),
    listeners: new Map([["10.0.0.9_3306", {
      name: "10.0.0.9_3306",
      address: "10.0.0.9",
      port: 3306,
      filterChains: [{ tcp, service: "db.test", ...(options.match && { match: options.match }) }],
    }]]),
  };
  const records: RequestRecord[] = [];
  const counts = new Map<string, number>();
  const dialed: string[] = [];
  const servers: MemoryStream[] = [];
  const observer: ProxyOptions["observer"] = {
    request: (r) => void records.push(r),
    downstreamConnection() {},
    upstreamConnection() {},
    requestStarted() {},
    count: (n, by = 1) => void counts.set(n, (counts.get(n) ?? 0) + by),
  };
  const proxy = createContext({
    config: configOf(),
    world: {
      current: {
        revision: options.revision ?? 1,
        program,
        tables: buildRouteTables(program),
        diagnostics: [],
        publishedMs: 0,
        stats: {},
      },
    },
    dialer: {
      dial({ hostname }) {
        dialed.push(hostname);
        if (options.refused?.has(hostname)) return Promise.reject(new MeshError("P303", "refused"));
        const [near, far] = pair();
        servers.push(far);
        return Promise.resolve(near);
      },
    },
    resolver: { resolve: () => Promise.reject(new Error("no names here")) },
    clock,
    rng: () => 0,
    observer,
    log: { level: "error", log() {} },
    ownAddresses: [],
  });
  const waiting: MemoryStream[] = [];
  let wanted: ((stream: MemoryStream | null) => void) | undefined;
  const listener: Listener = {
    address: options.listen ?? { hostname: "127.0.0.1", port: 3306 },
    accept: () => {
      const next = waiting.shift();
      return next === undefined ? new Promise((resolve) => wanted = resolve) : Promise.resolve(next);
    },
    close: () => wanted?.(null),
  };
  const ports = startLocalPorts(proxy, [{ listener, host: "db.test", port: 3306 }]);
  return {
    clock,
    records,
    counts,
    dialed,
    servers,
    ports,
    proxy,
    async client(local?: StreamAddress): Promise<MemoryStream> {
      const [near, far] = pair();
      if (local !== undefined) near.local = local;
      if (wanted === undefined) waiting.push(near);
      else wanted(near);
      await settle();
      return far;
    },
  };
}

Deno.test("local port: bytes both ways, each end passed on alone, all counted", async () => {
  const r = rig();
  const client = await r.client();
  send(r.servers[0]!, "greeting");
  await settle();
  assert.equal(got(client), "greeting");
  send(client, "hello");
  await client.closeWrite();
  await settle();
  assert.equal(got(r.servers[0]!), "hello");
  assert.equal(r.servers[0]!.incoming.ended, true);
  assert.equal(r.records.length, 0);
  send(r.servers[0]!, "after your end");
  await r.servers[0]!.closeWrite();
  await settle();
  assert.equal(got(client), "after your end");
  const [record] = r.records;
  assert.deepEqual(
    [record?.protocol, record?.authority, record?.bytesReceived, record?.bytesSent, record?.flags],
    ["TCP", "db.test:3306", 5, 22, ""],
  );
  assert.equal(record?.upstreamCluster, "outbound|3306||db.test");
  assert.equal(record?.upstreamHost, "10.0.0.1:1");
  assert.equal(record?.routeName, "10.0.0.9_3306");
  assert.deepEqual(
    ["tcp_connections_total", "tcp_received_bytes_total", "tcp_sent_bytes_total"].map((n) => r.counts.get(n)),
    [1, 5, 22],
  );
  assert.equal(r.proxy.deadlines.size, 0);
  assert.equal(r.proxy.tunnels.size, 0);
});

Deno.test("local port: idle and duration limits of the chain", async () => {
  const r = rig({ tcp: { idleTimeout: "10s", maxDownstreamConnectionDuration: "25s" } });
  const client = await r.client();
  for (let i = 0; i < 3; i++) {
    await r.clock.advance(8_000);
    assert.equal(r.records.length, 0, `${i}`);
    send(client, "x");
    await settle();
  }
  await r.clock.advance(1_200);
  assert.equal(r.records[0]?.flags, "DT");

  const second = await r.client();
  await r.clock.advance(9_000);
  assert.equal(r.records.length, 1);
  await r.clock.advance(1_200);
  assert.equal(r.records[1]?.flags, "SI");
  assert.equal(second.outgoing.broken, true);

  const endless = rig({ tcp: { idleTimeout: "0s" } });
  await endless.client();
  await endless.clock.advance(2 * 3_600_000);
  assert.equal(endless.records.length, 0);
  endless.ports.close();
  for (const tunnel of endless.proxy.tunnels) tunnel.close();
});

Deno.test("local port: as many endpoints are tried as the chain says", async () => {
  const endpoints = ["10.0.0.1", "10.0.0.2"];
  const refused = new Set(["10.0.0.1", "10.0.0.2"]);
  const once = rig({ endpoints, refused });
  await once.client();
  assert.equal(once.dialed.length, 1);
  assert.deepEqual([once.records[0]?.flags, once.records[0]?.details], ["UF", "P303"]);
  const twice = rig({ endpoints, refused, tcp: { maxConnectAttempts: 2 } });
  await twice.client();
  assert.deepEqual([...twice.dialed].sort(), endpoints);
  assert.equal(twice.records[0]?.attempts.length, 2);
});

Deno.test("local port: no endpoint, no cluster, no rules, no chain: closed with the flag that says so", async () => {
  const rows: [Options, string][] = [
    [{ endpoints: [] }, "UH"],
    [{ tcp: { cluster: "outbound|3306|v9|db.test" } }, "NC"],
    [{ revision: 0 }, ""],
    [{ match: { prefixRanges: ["10.1.0.0/16"] }, tcp: { cluster: "outbound|1||x" } }, "NR"],
  ];
  for (const [options, flags] of rows) {
    const r = rig(options);
    const client = await r.client();
    assert.equal(r.records[0]?.flags, flags);
    assert.equal(await client.read(new Uint8Array(1)), null);
    assert.equal(r.ports.size, 0);
  }
});

Deno.test("local port: a hello is waited for no longer than a head; a server that would speak first gets its turn then", async () => {
  const r = rig({ match: { transportProtocol: "raw_buffer" } });
  const client = await r.client();
  assert.equal(r.dialed.length, 0);
  await r.clock.advance(10_200);
  assert.equal(r.dialed.length, 1);
  // The read that was given up on is not lost.
  send(client, "late");
  await settle();
  assert.equal(got(r.servers[0]!), "late");
  await client.closeWrite();
  await r.servers[0]!.closeWrite();
  await settle();
  assert.equal(r.records.length, 1);

  await r.client().then((plain) => send(plain, "GET"));
  await settle();
  assert.equal(r.dialed.length, 2);
  r.ports.close();
  for (const tunnel of r.proxy.tunnels) tunnel.close();
});

Deno.test("local port: an idle port ends at once, a busy one when its last connection is over", async () => {
  const r = rig();
  await r.ports.whenIdle();
  const client = await r.client();
  assert.equal(r.ports.size, 1);
  r.ports.stop();
  let over = false;
  r.ports.whenIdle().then(() => over = true);
  await settle();
  assert.equal(over, false);
  await client.closeWrite();
  await r.servers[0]!.closeWrite();
  await settle();
  assert.equal(over, true);
});

Deno.test("local port: on every address it does not lead to itself on one of them", async () => {
  const r = rig({ listen: { hostname: "0.0.0.0", port: 3306 }, port: 3306 });
  await r.client();
  assert.deepEqual(r.dialed, ["10.0.0.1"]);
  await r.client({ hostname: "10.0.0.1", port: 3306 });
  assert.deepEqual(r.dialed, ["10.0.0.1"]);
  assert.deepEqual(r.records.map(({ flags, details }) => [flags, details]), [["", "P205"]]);
  r.ports.close();
  await settle();
});

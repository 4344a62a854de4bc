/** Service ports in memory: where requests go, what is refused, checks, drain. */
import assert from "node:assert/strict";
import { MeshError } from "../core/errors.ts";
import type { Listener } from "../core/ports.ts";
import type { ApplicationPort } from "../model/model.ts";
import type { RequestRecord } from "../observe/types.ts";
import type { LocalHealthCheck, ServicePort } from "../settings/types.ts";
import { configOf } from "../../tests/harness/world.ts";
import { type InboundOptions, startInbound } from "./inbound.ts";
import { FakeClock, got, MemoryStream, pair, send, settle } from "./proxy_fixture_test.ts";

const REST: ServicePort = { protocol: "rest", port: 8084, localPort: 8080 };
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

function memoryListener(hostname: string, port: number) {
  let deliver: ((s: MemoryStream | null) => void) | null = null;
  const waiting: MemoryStream[] = [];
  let closed = false;
  const listener: Listener = {
    address: { hostname, port },
    accept() {
      const next = waiting.shift();
      if (next !== undefined || closed) return Promise.resolve(next ?? null);
      return new Promise((resolve) => deliver = resolve);
    },
    close() {
      closed = true;
      deliver?.(null);
    },
  };
  return {
    listener,
    get closed() {
      return closed;
    },
    client() {
      const [near, far] = pair();
      if (deliver === null) waiting.push(near);
      else deliver(near);
      deliver = null;
      return far;
    },
  };
}

interface Options {
  readonly checks?: readonly LocalHealthCheck[];
  /** Answers of the application to one request each; `refuse` and `hang` are about the connection. */
  readonly application?: (request: string, port: number) => string | "";
  readonly connect?: (port: number) => "refuse" | "late" | "accept";
  /** Connections are there when it resolves. */
  readonly dialing?: Promise<void>;
  readonly own?: readonly { hostname: string; port: number }[];
}

function rig(options: Options = {}) {
  const clock = new FakeClock();
  const records: RequestRecord[] = [];
  const logs: string[] = [];
  const dialed: string[] = [];
  const requests: string[] = [];
  const taken = new Set<number>();
  const listeners = new Map<number, ReturnType<typeof memoryListener>>();
  const config = {
    ...configOf(),
    inbound: { servicePorts: [], fromControlPlane: false, healthChecks: options.checks ?? [] },
    workload: { ...configOf().workload, instanceIp: "10.0.0.5" },
  };
  const observer: InboundOptions["observer"] = {
    request: (r) => void records.push(r),
    downstreamConnection() {},
    upstreamConnection() {},
    requestStarted() {},
    count() {},
  };
  const inbound = startInbound({
    config,
    listen({ hostname, port }) {
      if (taken.has(port)) throw new Error(`another program has ${port}`);
      const made = memoryListener(hostname, port);
      listeners.set(port, made);
      return made.listener;
    },
    dialer: {
      dial({ hostname, port }) {
        dialed.push(`${hostname}:${port}`);
        const how = options.connect?.(port) ?? "accept";
        if (how === "refuse") return Promise.reject(new MeshError("P303", "refused", { side: "upstream" }));
        if (how === "late") return Promise.reject(new MeshError("P304", "late", { side: "upstream" }));
        const [near, far] = pair();
        serve(far, port);
        return options.dialing === undefined ? Promise.resolve(near) : options.dialing.then(() => near);
      },
    },
    resolver: { resolve: () => Promise.reject(new Error("nobody asks for names")) },
    clock,
    rng: () => 0,
    observer,
    log: { level: "debug", log: (level, message) => void logs.push(`${level} ${message}`) },
    ownAddresses: options.own ?? [],
  });
  const serve = (stream: MemoryStream, port: number): void => {
    const into = new Uint8Array(65536);
    const loop = async (): Promise<void> => {
      for (;;) {
        const n = await stream.read(into);
        if (n === null) return stream.close();
        const request = new TextDecoder().decode(into.subarray(0, n));
        requests.push(request);
        const answer = options.application?.(request, port) ?? OK;
        if (answer === "") return;
        if (answer === "close") return stream.close();
        send(stream, answer);
      }
    };
    loop().catch(() => {});
  };
  return {
    inbound,
    clock,
    records,
    logs,
    dialed,
    requests,
    listeners,
    taken,
    client: (port: number) => listeners.get(port)!.client(),
    async ask(port: number, request: string): Promise<string> {
      const client = listeners.get(port)!.client();
      send(client, request);
      await settle();
      return got(client);
    },
  };
}

const get = (headers = "", target = "/a", host = "10.0.0.5:8084") =>
  `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`;

Deno.test("every request of a service port goes to the application, whatever host it names", async () => {
  const r = rig();
  r.inbound.open(REST, "settings");
  for (
    const request of [
      get(),
      get("", "/a", "reviews.default.svc.cluster.local"),
      get("", "http://example.com:99/a", "example.com:99"),
    ]
  ) {
    assert.match(await r.ask(8084, request), /^HTTP\/1.1 200 OK/);
  }
  assert.deepEqual([...new Set(r.dialed)], ["127.0.0.1:8080"]);
  assert.ok(r.requests.every((text) => text.startsWith("GET /a HTTP/1.1\r\n")));
  const [record] = r.records;
  assert.equal(record?.inbound, true);
  assert.equal(record?.upstreamCluster, "inbound|8084||");
  assert.equal(record?.virtualHost, "inbound|http|8084");
  assert.equal(record?.upstreamHost, "127.0.0.1:8080");
  r.inbound.close();
});

Deno.test("headers: certificates that a peer claims go, the request's id stays, the chain of addresses grows", async () => {
  const r = rig();
  r.inbound.open(REST, "settings");
  await r.ask(
    8084,
    get(
      "X-Forwarded-Client-Cert: By=spiffe://x\r\nx-request-id: abc\r\nX-Forwarded-For: 9.9.9.9\r\n" +
        "X-Forwarded-Proto: https\r\n",
    ),
  );
  const [request = ""] = r.requests;
  assert.doesNotMatch(request, /client-cert/i);
  assert.match(request, /x-request-id: abc\r\n/i);
  assert.match(request, /x-forwarded-for: 9\.9\.9\.9,10\.1\.2\.3\r\n/i);
  assert.match(request, /x-forwarded-proto: https\r\n/i);
  assert.match(request, /Host: 10\.0\.0\.5:8084\r\n/);
  r.inbound.close();
});

Deno.test("an application that is down is 502 with a reason, in gRPC's own shape for gRPC", async () => {
  let how: "refuse" | "late" = "refuse";
  const r = rig({ connect: () => how });
  r.inbound.open(REST, "settings");
  const refused = await r.ask(8084, get());
  assert.match(refused, /^HTTP\/1.1 502 /);
  assert.match(
    refused,
    /Proxy-Status: mesh-agent; error=connection_refused; details="\[P312\] Cannot reach the application on 127\.0\.0\.1:8080: nothing listens there"/,
  );
  assert.match(refused, /Start the application, or mend the local port of --service-ports\.\n$/);
  const { flags, status, details, attempts } = r.records[0]!;
  assert.deepEqual([flags, status, details], ["UF", 502, "connection_refused"]);
  assert.deepEqual(attempts.map((a) => a.outcome), ["connect-failure"]);
  how = "late";
  assert.match(await r.ask(8084, get()), /^HTTP\/1.1 502 [^]*does not accept the connection in time/);
  const grpc = await r.ask(8084, get("content-type: application/grpc\r\n"));
  assert.match(grpc, /^HTTP\/1.1 200 [^]*grpc-status: 14\r\ngrpc-message: Cannot reach the application/);
  r.inbound.close();
});

Deno.test("a service port is no way out: CONNECT is 404, TLS is closed", async () => {
  const r = rig();
  r.inbound.open(REST, "settings");
  const answer = await r.ask(
    8084,
    "CONNECT db.internal:5432 HTTP/1.1\r\nHost: db.internal:5432\r\n\r\n",
  );
  assert.match(answer, /^HTTP\/1.1 404 [^]*leads to the application of this workload only/);
  assert.equal(r.records[0]?.flags, "NR");
  const tls = r.client(8084);
  tls.write(Uint8Array.of(22, 3, 1, 0, 5, 1, 0, 0, 1, 0));
  await settle();
  // What it is taken by is loaded at the first need.
  await import("./tls_passthrough.ts");
  await settle();
  assert.equal(got(tls), "");
  assert.ok(tls.incoming.ended);
  assert.equal(r.records[1]?.flags, "NR");
  assert.deepEqual(r.dialed, []);
  r.inbound.close();
});

Deno.test("a service port that leads back into the agent is a loop, in HTTP and in TCP", async () => {
  const r = rig({ own: [{ hostname: "127.0.0.1", port: 8080 }, { hostname: "0.0.0.0", port: 3306 }] });
  r.inbound.open(REST, "LDS x");
  r.inbound.open({ protocol: "tcp", port: 33, localPort: 3306 }, "LDS y");
  assert.match(await r.ask(8084, get()), /^HTTP\/1.1 508 [^]*error=proxy_loop_detected/);
  const client = r.client(33);
  await settle();
  assert.ok(client.incoming.ended);
  assert.equal(r.records[1]?.details, "P205");
  assert.deepEqual(r.dialed, []);
  r.inbound.close();
});

Deno.test("upgrades pass", async () => {
  const r = rig({
    application: (request) =>
      request.startsWith("GET")
        ? "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        : request.toUpperCase(),
  });
  r.inbound.open(REST, "settings");
  const client = r.client(8084);
  send(client, get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"));
  await settle();
  assert.match(got(client), /^HTTP\/1.1 101 /);
  send(client, "hello");
  await settle();
  assert.equal(got(client), "HELLO");
  client.close();
  await settle();
  assert.equal(r.records[0]?.inbound, true);
  r.inbound.close();
});

Deno.test("tcp: bytes both ways, a record of its own, closed when the application is down", async () => {
  let how: "refuse" | "accept" = "accept";
  const r = rig({ application: (text) => text.toUpperCase(), connect: () => how });
  r.inbound.open({ protocol: "tcp", port: 3306, localPort: 3307 }, "settings");
  const client = r.client(3306);
  send(client, "select");
  await settle();
  assert.equal(got(client), "SELECT");
  client.close();
  await settle();
  const [record] = r.records;
  assert.equal(record?.protocol, "TCP");
  assert.equal(record?.inbound, true);
  assert.equal(record?.upstreamCluster, "inbound|3306||");
  assert.deepEqual(r.dialed, ["127.0.0.1:3307"]);
  how = "refuse";
  const refused = r.client(3306);
  await settle();
  assert.ok(refused.incoming.ended);
  assert.equal(r.records[1]?.flags, "UF");
  r.inbound.close();
});

Deno.test("the application's check gates its ports and no others, from the second answer on again open", async () => {
  let status = 500;
  const r = rig({
    checks: [{ port: 8080, protocol: "rest", uri: "/health", intervalMs: 10_000, timeoutMs: 1000 }],
    application: (request) =>
      request.startsWith("GET /health ") ? `HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n` : OK,
  });
  r.inbound.open(REST, "settings");
  r.inbound.open({ protocol: "tcp", port: 9, localPort: 8080 }, "settings");
  r.inbound.open({ protocol: "rest", port: 8085, localPort: 8085 }, "settings");
  assert.deepEqual(r.inbound.status().map((s) => s.check), ["pending", "pending", "none"]);
  await settle();
  assert.match(r.requests[0]!, /^GET \/health HTTP\/1.1\r\nHost: 127\.0\.0\.1:8080\r\n/);
  assert.equal(r.requests.length, 1);
  const gated = await r.ask(8084, get());
  assert.match(gated, /^HTTP\/1.1 503 /);
  assert.match(
    gated,
    /error=destination_unavailable; details="\[P313\] Cannot take the request: the check of the application on 127\.0\.0\.1:8080 fails: GET \/health was answered 500; want 200 to 399"/,
  );
  assert.equal(r.records[0]?.flags, "LH");
  assert.equal(r.records[0]?.details, "failed_local_healthcheck");
  assert.equal(r.records[0]?.upstreamCluster, "inbound|8084||");
  assert.match(
    await r.ask(8084, get("content-type: application/grpc\r\n")),
    /^HTTP\/1.1 200 [^]*grpc-status: 14\r\n/,
  );
  const tcp = r.client(9);
  await settle();
  assert.ok(tcp.incoming.ended);
  assert.equal(r.records[2]?.flags, "LH");
  assert.match(await r.ask(8085, get()), /^HTTP\/1.1 200 /);
  assert.deepEqual(r.inbound.status()[0], {
    address: "10.0.0.5:8084",
    protocol: "rest",
    application: "127.0.0.1:8080",
    from: "settings",
    check: "failing",
    reason: "GET /health was answered 500; want 200 to 399",
  });
  status = 204;
  await r.clock.advance(9_999);
  assert.match(await r.ask(8084, get()), /^HTTP\/1.1 503 /);
  await r.clock.advance(1);
  assert.match(await r.ask(8084, get()), /^HTTP\/1.1 200 /);
  assert.equal(r.inbound.status()[0]?.check, "passing");
  assert.deepEqual(r.logs.filter((line) => line.includes("the check") && !line.startsWith("debug")), [
    "warn the check of the application on 127.0.0.1:8080 fails: GET /health was answered 500; want 200 to 399; " +
    "its service ports answer 503",
    "info the check of the application on 127.0.0.1:8080 passes",
  ]);
  r.inbound.close();
  assert.deepEqual(r.clock.timers, []);
});

const check = (more: Partial<LocalHealthCheck>): LocalHealthCheck => ({
  port: 8080,
  protocol: "rest",
  uri: "/",
  intervalMs: 10_000,
  timeoutMs: 1000,
  ...more,
});

/** What the first check says of that application. */
async function verdict(more: Partial<LocalHealthCheck>, options: Omit<Options, "checks">): Promise<string> {
  const r = rig({ ...options, checks: [check(more)] });
  r.inbound.open(REST, "settings");
  await r.clock.advance(5000);
  const [status] = r.inbound.status();
  r.inbound.close();
  return status?.reason ?? status?.check ?? "";
}

Deno.test("checks: status, body, silence, refusal, nonsense", async () => {
  const answer = (text: string) => ({ application: () => text });
  const body = (text: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
  assert.equal(await verdict({}, answer(OK)), "passing");
  assert.equal(await verdict({}, answer("HTTP/1.1 399 X\r\nContent-Length: 0\r\n\r\n")), "passing");
  assert.match(
    await verdict({}, answer("HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n")),
    /answered 400; want 200 to 399/,
  );
  assert.match(await verdict({ status: 204 }, answer(OK)), /answered 200; want 204/);
  assert.equal(
    await verdict({}, answer("HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
    "passing",
  );
  assert.equal(await verdict({ body: '"status": ?"UP"' }, answer(body('{"status":"UP"}\n'))), "passing");
  assert.equal(
    await verdict({ body: "^UP$" }, answer(body("xUPx"))),
    'GET /: the body does not match "^UP$"',
  );
  assert.equal(
    await verdict(
      { body: "UP" },
      answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nU\r\n1\r\nP\r\n0\r\n\r\n"),
    ),
    "passing",
  );
  assert.equal(await verdict({ timeoutMs: 300 }, answer("")), "GET / was not answered within 300 ms");
  assert.equal(
    await verdict({ body: "x", timeoutMs: 300 }, answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")),
    "GET / was not answered within 300 ms",
  );
  assert.match(await verdict({}, answer("close")), /the connection (broke off|ended without an answer)/);
  assert.match(await verdict({}, answer("SSH-2.0-x\r\n\r\n")), /^GET \/: /);
  assert.equal(await verdict({}, { connect: () => "refuse" }), "nothing listens there");
  assert.equal(await verdict({ protocol: "tcp" }, {}), "passing");
  assert.equal(await verdict({ protocol: "tcp" }, { connect: () => "refuse" }), "nothing listens there");
  assert.equal(await verdict({ protocol: "tcp" }, { connect: () => "late" }), "no connection within 1000 ms");
  assert.throws(() => rig({ checks: [check({ body: "(" })] }), /match\.body "\(" is no regular expression/);
});

Deno.test("a check that is under way when the ports close lets go of its connection", async () => {
  let connected = (): void => {};
  const r = rig({
    checks: [check({})],
    dialing: new Promise<void>((resolve) => connected = resolve),
    application: () => "",
  });
  r.inbound.open(REST, "settings");
  await settle();
  assert.deepEqual(r.dialed, ["127.0.0.1:8080"]);
  r.inbound.close();
  connected();
  await settle();
  assert.deepEqual(r.requests, []);
  assert.deepEqual(r.clock.timers, []);
});

Deno.test("until the first check is over nothing is held back", async () => {
  const r = rig({
    checks: [check({ uri: "/health" })],
    application: (request) => request.startsWith("GET /health") ? "" : OK,
  });
  r.inbound.open(REST, "settings");
  assert.match(await r.ask(8084, get()), /^HTTP\/1.1 200 /);
  await r.clock.advance(1000);
  assert.match(await r.ask(8084, get()), /^HTTP\/1.1 503 /);
  r.inbound.close();
});

Deno.test("drain: no new connections, what runs is answered with a close, tcp is cut at the deadline", async () => {
  let answer: string | "" = "";
  const r = rig({ application: (request) => request.startsWith("GET") ? answer : "x" });
  r.inbound.open(REST, "settings");
  r.inbound.open({ protocol: "tcp", port: 9, localPort: 9 }, "settings");
  const tcp = r.client(9);
  send(tcp, "hello");
  const busy = r.client(8084);
  answer = OK;
  send(busy, get());
  await settle();
  let drained = false;
  r.inbound.drain(5000).then(() => drained = true);
  assert.ok(r.listeners.get(8084)?.closed);
  assert.ok(r.listeners.get(9)?.closed);
  await settle();
  assert.equal(drained, false);
  assert.equal(tcp.incoming.ended, false);
  await r.clock.advance(5000);
  assert.equal(drained, true);
  assert.ok(tcp.incoming.ended);
  assert.deepEqual(r.clock.timers, []);
});

Deno.test("worlds for explain, by port", () => {
  const r = rig();
  r.inbound.open(REST, "settings");
  const world = r.inbound.worldOf(8084);
  assert.equal(world?.revision, 1);
  assert.ok(world?.program.clusters.has("inbound|8084||"));
  assert.equal(r.inbound.worldOf(8080), undefined);
  r.inbound.close();
});

const told = (port: number, more: Partial<ApplicationPort> = {}): ApplicationPort => ({
  address: "10.0.0.5",
  port,
  protocol: "http",
  localPort: port,
  ...more,
});

Deno.test("a control plane's ports come and go beside those of the settings, which win", async () => {
  const r = rig();
  r.inbound.open(REST, "settings");
  const open = () =>
    r.inbound.status().map(({ address, from, closed }) => `${address} ${from} ${closed ?? ""}`);
  r.inbound.follow(undefined);
  r.inbound.follow(
    new Map([
      ["10.0.0.5_8084", told(8084, { localPort: 1 })],
      ["10.0.0.5_9080", told(9080, { localPort: 9081 })],
      ["virtualInbound:50", told(50, { address: "0.0.0.0", protocol: "http2" })],
      ["10.0.0.9_7", told(7, { address: "10.0.0.9" })],
      ["tls", told(443, { refused: "it wants mutual TLS" })],
    ]),
  );
  assert.deepEqual(open(), [
    "10.0.0.5:8084 settings ",
    "10.0.0.5:9080 10.0.0.5_9080 ",
    "10.0.0.5:50 virtualInbound:50 ",
    "10.0.0.5:443 tls it wants mutual TLS",
  ]);
  assert.equal(r.inbound.status()[2]?.protocol, "grpc");
  assert.match(await r.ask(9080, get()), /^HTTP\/1.1 200 /);
  assert.equal(r.dialed.at(-1), "127.0.0.1:9081");
  const before = r.listeners.get(9080);
  // The same again: nothing is opened anew.
  r.inbound.follow(new Map([["10.0.0.5_9080", told(9080, { localPort: 9081 })]]));
  assert.equal(r.listeners.get(9080), before);
  assert.equal(before?.closed, false);
  assert.ok(r.listeners.get(50)?.closed);
  assert.deepEqual(open(), ["10.0.0.5:8084 settings ", "10.0.0.5:9080 10.0.0.5_9080 "]);
  // Another application port: a new listener in its place.
  r.inbound.follow(new Map([["10.0.0.5_9080", told(9080)]]));
  assert.ok(before?.closed);
  await r.ask(9080, get());
  assert.equal(r.dialed.at(-1), "127.0.0.1:9080");
  r.inbound.follow(undefined);
  assert.deepEqual(open(), ["10.0.0.5:8084 settings "]);
  await settle();
  r.inbound.close();
  assert.deepEqual(r.clock.timers, []);
});

Deno.test("a port that another program has is told once, and taken when it is free", async () => {
  const r = rig();
  r.taken.add(9080);
  const ports = new Map([["10.0.0.5_9080", told(9080)]]);
  r.inbound.follow(ports);
  r.inbound.follow(new Map(ports));
  assert.equal(r.inbound.status()[0]?.closed, "another program has 9080");
  assert.equal(r.logs.filter((line) => line.includes("is not taken")).length, 1);
  r.taken.clear();
  r.inbound.follow(ports);
  assert.equal(r.inbound.status()[0]?.closed, undefined);
  assert.match(await r.ask(9080, get()), /^HTTP\/1.1 200 /);
  r.inbound.close();
});

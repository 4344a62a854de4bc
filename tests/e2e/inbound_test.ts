/**
 * The agent in front of an application: the application is a process on 127.0.0.1, the workload's address is another one of loopback.
 * Every protocol, an application that is down or unhealthy, drain, ports of a control plane, and what is refused at the start.
 */
import assert from "node:assert/strict";
import { type AgentProcess, runAgent, startAgentProcess } from "../harness/agent.ts";
import { startApplication } from "../harness/application.ts";
import { until, within } from "../harness/bytes.ts";
import { type Address, askOnce, proxyGet, RawClient } from "../harness/client.ts";
import { type ConfDirectory, makeConf, serviceEntry } from "../harness/conf.ts";
import { GrpcServer, playGrpc } from "../harness/grpc_pair.ts";
import { startRestPilot } from "../harness/rest_pilot.ts";
import { deadPort, startUpstream } from "../harness/upstream.ts";

const WORKLOAD = "127.0.0.2";
const json = { accessLog: "json" };

/** Where the agent listens for an application's port. */
async function portFor(agent: AgentProcess, localPort: number): Promise<Address> {
  const pattern = new RegExp(
    `service port ${WORKLOAD}:(\\d+) \\(\\w+\\) leads to 127\\.0\\.0\\.1:${localPort}\\b`,
  );
  return { hostname: WORKLOAD, port: Number((await agent.line(pattern))[1]) };
}

function start(conf: ConfDirectory, ports: string, env: Record<string, string> = {}) {
  return startAgentProcess(["run", "--config", conf.path, "--service-ports", ports], {
    env: { INSTANCE_IP: WORKLOAD, ...env },
  });
}

const get = (path = "/", headers = "") => `GET ${path} HTTP/1.1\r\nHost: shop.default\r\n${headers}\r\n`;
const close = "Connection: close\r\n";

async function admin(agent: AgentProcess, path: string): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${agent.admin.port}${path}`)).text();
}

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command("curl", { args: ["-sS", "-m", "10", "--noproxy", "*", ...args] })
    .output();
  return new TextDecoder().decode(stdout);
}

Deno.test("inbound: every protocol reaches the application, and the records say that it was inbound", async (t) => {
  await using application = await startApplication();
  await using grpc = await GrpcServer.start();
  await using echo = startUpstream(async (link) => {
    await link.write("ready ");
    await link.peerGone();
    await link.write("bye");
  });
  const dead = deadPort();
  await using conf = await makeConf({ mesh: json });
  await using agent = await start(
    conf,
    `rest:0:${application.port},grpc:0:${grpc.port},tcp:0:${echo.port},rest:0:${dead}`,
  );
  const rest = await portFor(agent, application.port);
  const rpc = await portFor(agent, grpc.port);
  const tcp = await portFor(agent, echo.port);
  const down = await portFor(agent, dead);

  await t.step(
    "HTTP/1.1: headers as a sidecar of Istio passes them, several requests on a connection",
    async () => {
      using client = await RawClient.connect(rest);
      const answer = await client.ask(
        get(
          "/a?b=c",
          "x-forwarded-client-cert: By=spiffe://x\r\nx-request-id: r1\r\nx-forwarded-for: 9.9.9.9\r\n",
        ),
      );
      assert.equal(answer.status, 200);
      assert.equal(answer.header("x-application"), "yes");
      const { path, headers } = JSON.parse(answer.body);
      assert.equal(path, "/a");
      assert.equal(headers.host, "shop.default");
      assert.equal(headers["x-request-id"], "r1");
      assert.equal(headers["x-forwarded-for"], "9.9.9.9,127.0.0.1");
      assert.equal(headers["x-forwarded-client-cert"], undefined);
      const body = "x".repeat(300_000);
      const posted = await client.ask(
        `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      assert.equal(JSON.parse(posted.body).length, body.length);
    },
  );

  await t.step("HTTP/2 with prior knowledge: the application is asked in HTTP/1.1", async () => {
    const url = `http://${WORKLOAD}:${rest.port}/two`;
    assert.match(
      await curl("--http2-prior-knowledge", "-w", " %{http_version}", url),
      /"path":"\/two"[^]* 2$/,
    );
  });

  await t.step("WebSocket", async () => {
    const socket = new WebSocket(`ws://${WORKLOAD}:${rest.port}/ws`);
    const said = new Promise((resolve, reject) => {
      socket.onopen = () => socket.send("hello");
      socket.onmessage = ({ data }) => resolve(data);
      socket.onerror = () => reject(new Error("the socket broke"));
    });
    assert.equal(await within(said, "an echo"), "echo hello");
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.close();
    await closed;
  });

  await t.step("gRPC: a call, a stream, the status of the application", async () => {
    const [unary, pingPong, failing] = await playGrpc(
      `${WORKLOAD}:${rpc.port}`,
      "shop.default",
      "unary",
      "pingPong",
      "trailersOnly",
    );
    assert.equal(unary?.code, 0);
    assert.equal(pingPong?.code, 0);
    assert.ok(pingPong!.messages > 1);
    assert.equal(failing?.code, 5);
  });

  await t.step("TCP: the server may speak first, ends pass both ways", async () => {
    using client = await RawClient.connect(tcp);
    await client.end();
    assert.equal(await client.toEnd(), "ready bye");
  });

  await t.step("an application that is not there: 502, for gRPC in its own shape", async () => {
    const answer = await askOnce(down, get("/", close));
    assert.equal(answer.status, 502);
    assert.match(
      answer.header("proxy-status") ?? "",
      new RegExp(
        `error=connection_refused; details="\\[P312\\] .*127\\.0\\.0\\.1:${dead}: nothing listens there"`,
      ),
    );
    const grpcShaped = await askOnce(down, get("/", `content-type: application/grpc\r\n${close}`));
    assert.equal(grpcShaped.status, 200);
    assert.equal(grpcShaped.header("grpc-status"), "14");
  });

  await t.step("no way out of the machine: absolute URLs and CONNECT", async () => {
    const elsewhere =
      `GET http://127.0.0.1:${echo.port}/x HTTP/1.1\r\nHost: 127.0.0.1:${echo.port}\r\n${close}\r\n`;
    assert.equal(JSON.parse((await askOnce(rest, elsewhere)).body).path, "/x");
    const tunnel = await askOnce(rest, `CONNECT 127.0.0.1:${echo.port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal(tunnel.status, 404);
  });

  await t.step("access log, metrics, status, explain, permissions", async () => {
    await until(
      () => agent.stdout().includes('"path":"/two"') && agent.stdout().includes('"protocol":"TCP"'),
      "the access log",
    );
    const lines = agent.stdout().trim().split("\n").map((line) => JSON.parse(line));
    assert.ok(lines.every((line) => line.direction === "inbound"), "nothing else was asked");
    const metrics = await admin(agent, "/stats/prometheus");
    assert.match(metrics, /^mesh_agent_requests_total\{direction="outbound"\} 0$/m);
    assert.match(metrics, /^mesh_agent_requests_total\{direction="inbound"\} [1-9]/m);
    assert.match(metrics, /^mesh_agent_response_flags_total\{direction="inbound",flag="UF"\} 2$/m);
    assert.match(metrics, /^mesh_agent_tcp_connections_total\{direction="inbound"\} [1-9]/m);
    const { stdout } = await runAgent(["status", "--admin", `127.0.0.1:${agent.admin.port}`]);
    assert.match(
      stdout,
      new RegExp(`^inbound +${WORKLOAD}:${rest.port} rest to 127\\.0\\.0\\.1:${application.port}$`, "m"),
    );
    const url = `http://${WORKLOAD}:${rest.port}/a`;
    const explained = await runAgent([
      "explain",
      url,
      "--inbound",
      "--admin",
      `127.0.0.1:${agent.admin.port}`,
    ]);
    assert.match(explained.stdout, new RegExp(`Goes to inbound\\|${rest.port}\\|\\|`));
    const unknown = await runAgent([
      "explain",
      "http://x:1/",
      "--inbound",
      "--admin",
      `127.0.0.1:${agent.admin.port}`,
    ]);
    assert.match(unknown.stderr, /port 1 is no service port; want one of 127\.0\.0\.2:/);
    const { permissions: { net } } = JSON.parse(await admin(agent, "/sync"));
    assert.ok(net.includes(`127.0.0.1:${application.port}`));
    const rights = await runAgent([
      "permissions",
      "--config",
      conf.path,
      "--service-ports",
      "rest:8084:18084",
    ], {
      env: { INSTANCE_IP: WORKLOAD },
    });
    assert.match(
      rights.stdout,
      /^listen +127\.0\.0\.2:8084 +cse\.mesh\.inbound\.servicePorts +flag --service-ports$/m,
    );
    assert.match(rights.stdout, /^connect +127\.0\.0\.1:18084 +cse\.mesh\.inbound\.servicePorts/m);
  });

  assert.equal((await agent.stop()).code, 0);
});

Deno.test("inbound: the application's check gates its port and nothing else; a killed one is 502 until it is back", async () => {
  await using application = await startApplication();
  await using other = startUpstream(async (link) => {
    while (await link.request() !== undefined) await link.write("HTTP/1.1 204 No Content\r\n\r\n");
  });
  await using conf = await makeConf({
    mesh: json,
    files: {
      "rules/shop.yaml": serviceEntry("other.test", 80, { v1: other.port }),
      "mesher.yaml":
        `localHealthCheck: [{port: ${application.port}, uri: /health, interval: 100ms, match: {status: 200, body: ^up$}}]\n`,
    },
  });
  await using agent = await start(conf, `rest:0:${application.port},rest:0:${other.port}`);
  const port = await portFor(agent, application.port);
  const free = await portFor(agent, other.port);
  await agent.line(/the check of the application on .* passes/);
  assert.equal((await askOnce(port, get("/", close))).status, 200);

  await application.health(503);
  await agent.line(
    /the check of the application on [^:]*:\d+ fails: GET \/health was answered 503; want 200; its/,
  );
  const gated = await askOnce(port, get("/", close));
  assert.equal(gated.status, 503);
  assert.match(
    gated.header("proxy-status") ?? "",
    /error=destination_unavailable; details="\[P313\] .*answered 503/,
  );
  // Another port, and outbound, do not notice; the agent is ready.
  assert.equal((await askOnce(free, get("/", close))).status, 204);
  assert.equal((await askOnce(agent.http, proxyGet("other.test", "/", close))).status, 204);
  assert.equal(await admin(agent, "/ready"), "ready\n");
  assert.match(
    await admin(agent, "/stats/prometheus"),
    new RegExp(
      `^mesh_agent_application_check_passing\\{application="127.0.0.1:${application.port}"\\} 0$`,
      "m",
    ),
  );
  assert.match(
    await admin(agent, "/sync?format=text"),
    /check fails: GET \/health was answered 503; want 200/,
  );
  await until(() => agent.accessLog().some((line) => line.response_flags === "LH"), "the flag LH");

  await application.health(200);
  await until(async () => (await askOnce(port, get("/", close))).status === 200, "an open port");

  await application.kill();
  await agent.line(/the check of the application on [^:]*:\d+ fails: nothing listens there/);
  assert.equal((await askOnce(port, get("/", close))).status, 503);
  await using again = await startApplication(application.port);
  await until(async () => (await askOnce(port, get("/", close))).status === 200, "the application again");
  assert.equal(again.port, application.port);
});

Deno.test("inbound: a killed application without a check is 502, and 200 when it is back; on the engine serve, too", async () => {
  const application = await startApplication();
  await using _application = application;
  await using conf = await makeConf({ mesh: { ...json, engine: "serve" } });
  await using agent = await start(conf, `rest:0:${application.port}`);
  const port = await portFor(agent, application.port);
  assert.equal((await askOnce(port, get("/", close))).status, 200);
  await application.kill();
  const answer = await askOnce(port, get("/", close));
  assert.equal(answer.status, 502, answer.body);
  await using _again = await startApplication(application.port);
  assert.equal((await askOnce(port, get("/", close))).status, 200);
});

Deno.test("inbound: an application may call itself through the mesh", async () => {
  await using application = await startApplication();
  const port = freePort();
  await using conf = await makeConf({
    mesh: json,
    files: {
      "rules/shop.yaml": serviceEntry("shop.test", 80, { v1: port }).replaceAll(
        "address: 127.0.0.1",
        `address: ${WORKLOAD}`,
      ),
    },
  });
  await using agent = await start(conf, `rest:${port}:${application.port}`);
  const answer = await askOnce(agent.http, proxyGet("shop.test", "/self", close));
  assert.equal(answer.status, 200, answer.body);
  const { headers } = JSON.parse(answer.body);
  assert.equal(headers["x-forwarded-for"], "127.0.0.1,127.0.0.1");
  await until(() => agent.accessLog().length === 2, "both records");
  assert.deepEqual(
    agent.accessLog().map((line) => (line as unknown as { direction?: string }).direction ?? "outbound")
      .sort(),
    ["inbound", "outbound"],
  );
});

function freePort(): number {
  const listener = Deno.listen({ hostname: WORKLOAD, port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

Deno.test("inbound: at SIGTERM what is under way is answered, and outbound serves it until then", async () => {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => release = resolve);
  await using other = startUpstream(async (link) => {
    while (await link.request() !== undefined) await link.write("HTTP/1.1 204 No Content\r\n\r\n");
  });
  await using application = startUpstream(async (link) => {
    await link.request();
    await released;
    await link.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    await link.peerGone();
  });
  await using conf = await makeConf({
    mesh: { ...json, drainTimeout: "20s" },
    files: { "rules/other.yaml": serviceEntry("other.test", 80, { v1: other.port }) },
  });
  await using agent = await start(conf, `rest:0:${application.port}`);
  const port = await portFor(agent, application.port);
  using client = await RawClient.connect(port);
  await client.send(get());
  await application.nth(0);
  agent.signal("SIGTERM");
  await agent.line(/draining/);
  // No new work for the application, while its own calls go on.
  await assert.rejects(askOnce(port, get("/", close)));
  assert.equal((await askOnce(agent.http, proxyGet("other.test", "/", close))).status, 204);
  release();
  const answer = await client.response();
  assert.equal(answer.body, "done");
  assert.match(answer.header("connection") ?? "", /close/i);
  assert.equal((await within(agent.ended, "the end")).code, 0);
});

Deno.test("inbound: ports that Pilot names, while it names them", async () => {
  await using application = await startApplication();
  const port = freePort();
  const node = `sidecar~${WORKLOAD}~app-1.default~default.svc.cluster.local`;
  const listener = {
    name: `http_${WORKLOAD}_${port}`,
    address: `tcp://${WORKLOAD}:${port}`,
    filters: [{
      type: "read",
      name: "http_connection_manager",
      config: {
        stat_prefix: "http",
        route_config: {
          virtual_hosts: [{
            name: `inbound|${port}`,
            domains: ["*"],
            routes: [{ prefix: "/", cluster: `in.${application.port}` }],
          }],
        },
      },
    }],
    bind_to_port: false,
  };
  await using pilot = startRestPilot();
  const says = (listeners: readonly unknown[]) =>
    pilot.set(`/v1/listeners/*/${node}`, JSON.stringify({ listeners }));
  pilot.set("/v1/registration", "[]");
  pilot.set(`/v1/clusters/*/${node}`, JSON.stringify({ clusters: [] }));
  const strict = { ...listener, name: "elsewhere", address: "tcp://10.9.9.9:1" };
  says([listener, strict]);
  await using conf = await makeConf({
    discovery: "pilot",
    address: `http://127.0.0.1:${pilot.port}`,
    mesh: { ...json, inbound: { fromControlPlane: true } },
  });
  await using agent = await startAgentProcess(["run", "--config", conf.path], {
    env: {
      POD_NAME: "app-1",
      POD_NAMESPACE: "default",
      INSTANCE_IP: WORKLOAD,
      CSE_SERVICE_REGISTRY_SERVICEDISCOVERY_REFRESHINTERVAL: "200ms",
    },
  });
  await agent.line(
    new RegExp(`service port ${WORKLOAD}:${port} \\(rest\\) leads to 127\\.0\\.0\\.1:${application.port}`),
  );
  const at = { hostname: WORKLOAD, port };
  assert.equal((await askOnce(at, get("/", close))).status, 200);
  assert.match(
    await admin(agent, "/sync?format=text"),
    new RegExp(`${WORKLOAD}:${port} rest .*\\(http_${WORKLOAD}_${port}\\)`),
  );
  // One that leads back to the agent is a loop.
  const loop = freePort();
  const own = JSON.stringify({ ...listener, name: "loop", address: `tcp://${WORKLOAD}:${loop}` })
    .replace(`in.${application.port}`, `in.${agent.admin.port}`);
  says([listener, JSON.parse(own)]);
  await agent.line(new RegExp(`service port ${WORKLOAD}:${loop} `));
  const looped = await askOnce({ hostname: WORKLOAD, port: loop }, get("/ready", close));
  assert.equal(looped.status, 508, looped.body);
  says([]);
  await agent.line(new RegExp(`service port ${WORKLOAD}:${port} closes: the control plane names it no more`));
  await assert.rejects(askOnce(at, get("/", close)));
  says([listener]);
  await until(
    async () => await askOnce(at, get("/", close)).then((a) => a.status === 200, () => false),
    "it again",
  );
});

Deno.test("inbound: what cannot be is refused at the start in one sentence", async () => {
  await using conf = await makeConf();
  const refusal = async (ports: string, ip: string, before?: string) => {
    const { code, stderr } = await runAgent(["run", "--config", conf.path, "--service-ports", ports], {
      env: { INSTANCE_IP: ip },
      ...(before === undefined ? {} : { before }),
    });
    assert.equal(code, 2, stderr);
    return stderr;
  };
  const taken = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  try {
    const { port } = taken.addr as Deno.NetAddr;
    assert.match(
      await refusal(`rest:${port}`, WORKLOAD),
      new RegExp(
        `^\\[N101\\] Cannot listen on "127\\.0\\.0\\.2:${port}" \\(service port\\): another program has the port; want a free one\\n` +
          " +Let the application listen on 127\\.0\\.0\\.1 only",
        "m",
      ),
    );
  } finally {
    taken.close();
  }
  assert.match(
    await refusal("rest:8084", "203.0.113.77"),
    /^\[N102\] Cannot listen on "203\.0\.113\.77:8084" \(service port\): this machine has no such address; want one of its own\n +Set INSTANCE_IP/m,
  );
  assert.match(
    await refusal("rest:8084", "127.0.0.1"),
    /S125.* Cannot listen in front of the application on INSTANCE_IP "127\.0\.0\.1": the application itself listens on 127\.0\.0\.1/,
  );
  assert.match(await refusal("rest:8084", ""), /S125.*INSTANCE_IP is not set/);
  assert.match(
    await refusal("rset:8084", WORKLOAD),
    /S103.*--service-ports "rset:8084": want one of rest, .*did you mean "rest"\?/,
  );
  await conf.write("mesher.yaml", 'localHealthCheck: [{port: 8084, match: {body: "("}}]\n');
  assert.match(
    await refusal("rest:0:8084", WORKLOAD),
    /^\[S103\] Cannot read localHealthCheck of port 8084: match\.body "\(" is no regular/m,
  );
});

Deno.test("inbound: a port below 1024 is for who may have it", async () => {
  const first = Number(await Deno.readTextFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"));
  await using conf = await makeConf();
  const args = ["run", "--config", conf.path, "--service-ports", "rest:81:8084"];
  // Root without the capability is as everybody else.
  const before = Deno.uid() === 0 ? 'set -- setpriv --bounding-set=-net_bind_service "$@"' : ":";
  const options = { env: { INSTANCE_IP: WORKLOAD }, before };
  if (first > 81) {
    const { code, stderr } = await runAgent(args, options);
    assert.match(
      stderr,
      /^\[N103\] Cannot listen on "127\.0\.0\.2:81" \(service port\): ports below 1024 are for root and CAP_NET_BIND_SERVICE; want that capability, or another port\n +Choose a service port of at least 1024/m,
    );
    assert.equal(code, 2);
  } else {
    await using agent = await startAgentProcess(args, options);
    await agent.line(/service port 127\.0\.0\.2:81 /);
  }
});

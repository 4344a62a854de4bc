/** Settings of inbound traffic: service ports, checks of the application, and what is refused in a sentence. */
import assert from "node:assert/strict";
import { formatConfig, readSettings } from "./read.ts";

function read(
  env: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>> = {},
  flag?: string,
) {
  const { config, diagnostics } = readSettings({
    directory: "/c",
    files: new Map(Object.entries(files)),
    env: new Map(Object.entries({ INSTANCE_IP: "10.0.0.5", ...env })),
    flags: flag === undefined ? {} : { "service-ports": flag },
  });
  const told = diagnostics.filter((d) => d.severity !== "info").map((d) => `${d.code} ${d.message}`);
  return { config, told };
}

Deno.test("service ports: Mesher's words, the application's own port, flag before variable before file", () => {
  const { config, told } = read({ SERVICE_PORTS: " rest:8084 , http2:9000:9001,, HTTP:8085,tcp:3306" });
  assert.deepEqual(told, []);
  assert.deepEqual(config?.inbound, {
    servicePorts: [
      { protocol: "rest", port: 8084, localPort: 8084 },
      { protocol: "grpc", port: 9000, localPort: 9001 },
      { protocol: "rest", port: 8085, localPort: 8085 },
      { protocol: "tcp", port: 3306, localPort: 3306 },
    ],
    fromControlPlane: false,
    healthChecks: [],
  });
  const file = { "chassis.yaml": "cse: {mesh: {inbound: {servicePorts: ['grpc:1']}}}" };
  assert.deepEqual(read({}, file).config?.inbound?.servicePorts.map((p) => p.protocol), ["grpc"]);
  assert.deepEqual(read({ SERVICE_PORTS: "tcp:2" }, file).config?.inbound?.servicePorts.map((p) => p.port), [
    2,
  ]);
  assert.equal(read({ SERVICE_PORTS: "tcp:2" }, file, "rest:3").config?.inbound?.servicePorts[0]?.port, 3);
  assert.equal(read({}).config?.inbound, undefined);
  assert.match(
    formatConfig(read({ SERVICE_PORTS: "rest:8084,grpc:1:2" }).config!),
    /inbound\.servicePorts\s+\["rest:8084","grpc:1:2"\]\s+\(?variable SERVICE_PORTS/,
  );
});

Deno.test("service ports that cannot be read", () => {
  const told = (text: string) => read({ SERVICE_PORTS: text }).told.join("\n");
  const want = "want PROTOCOL:PORT or PROTOCOL:PORT:LOCALPORT, such as rest:8084 or grpc:9000:9001";
  for (const text of ["8084", "rest", "rest:", "rest:x", "rest:1:2:3", "rest:123456"]) {
    assert.equal(told(text), `S103 Cannot read SERVICE_PORTS "${text}": ${want}`);
  }
  assert.match(told("rset:8084"), /want one of rest, http, grpc, http2, tcp .*; did you mean "rest"\?$/);
  assert.match(told("constructor:8084"), /want one of rest/);
  assert.match(told("rest:70000"), /at most 65535/);
  assert.match(told("rest:80:70000"), /at most 65535/);
  assert.match(told("rest:0"), /application's port behind port 0, such as rest:0:8084/);
  assert.match(told("rest:80,tcp:80:81"), /port 80 is there twice/);
  assert.deepEqual(read({ SERVICE_PORTS: "rest:0:80,rest:0:81" }).told, []);
  assert.match(
    read({}, { "chassis.yaml": "cse: {mesh: {inbound: {servicePorts: ['rest:1', 7]}}}" }).told.join(),
    /servicePorts\.1 "7": want PROTOCOL:PORT/,
  );
});

Deno.test("an address in front of the application must not be the application's", () => {
  const told = (ip: string, more = {}) => read({ INSTANCE_IP: ip, SERVICE_PORTS: "rest:8084", ...more }).told;
  for (const ip of ["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"]) {
    assert.deepEqual(told(ip), [
      `S125 Cannot listen in front of the application on INSTANCE_IP "${ip}": the application itself listens on ` +
      "127.0.0.1; want another address of this workload",
    ]);
  }
  assert.match(told("app.example").join(), /^S125 .*"app.example": it is no address; want the IP address/);
  assert.match(told("").join(), /^S125 .*: INSTANCE_IP is not set; want the address of this workload in it$/);
  assert.deepEqual(told("127.0.0.2"), []);
  assert.deepEqual(told("fd00::5"), []);
  // Without ports the address matters to nobody.
  assert.deepEqual(read({ INSTANCE_IP: "127.0.0.1" }).told, []);
});

Deno.test("a service port never leads to a listener of the agent", () => {
  const told = (ports: string, chassis: string) =>
    read({ SERVICE_PORTS: ports }, { "chassis.yaml": chassis }).told.join("\n");
  assert.equal(
    told("rest:80:30101", ""),
    'S126 Cannot lead service port "rest:80:30101" to 127.0.0.1:30101: the agent itself listens there ' +
      "(protocols.http.listenAddress); want the application's port",
  );
  assert.match(told("rest:30102", ""), /S126 .*rest-admin/);
  assert.match(told("tcp:7", "cse: {protocols: {grpc: {listenAddress: 'localhost:7'}}}"), /S126 .*grpc/);
  assert.match(
    told("tcp:7", "cse: {mesh: {healthListenAddress: '0.0.0.0:7'}}"),
    /S126 .*healthListenAddress/,
  );
  assert.match(told("tcp:7", "cse: {mesh: {tcp: {listeners: ['7=db:1']}}}"), /S126 .*tcp\.listeners/);
  assert.equal(told("tcp:7", "cse: {protocols: {grpc: {listenAddress: '127.0.0.9:7'}}}"), "");
});

Deno.test("a service port is not another listener of the agent", () => {
  const told = (ports: string, listen: string) =>
    read({ SERVICE_PORTS: ports }, {
      "chassis.yaml": `cse: {protocols: {http: {listenAddress: '${listen}'}}}`,
    }).told.filter((text) => !text.startsWith("S123")).join("\n");
  assert.equal(
    told("rest:8084:80", "10.0.0.5:8084"),
    'S126 Cannot listen for service port "rest:8084:80" on 10.0.0.5: the agent itself listens there ' +
      "(protocols.http.listenAddress); want another port for one of them",
  );
  assert.match(told("rest:8084:80", "0.0.0.0:8084"), /^S126 Cannot listen for/);
  assert.equal(told("rest:8084:80", "10.0.0.6:8084"), "");
  assert.equal(told("rest:0:80", "10.0.0.5:0"), "");
});

Deno.test("checks of the application: Mesher's keys and their defaults", () => {
  const checks = (yaml: string) => read({ SERVICE_PORTS: "rest:1,tcp:2" }, { "mesher.yaml": yaml });
  const { config, told } = checks(`localHealthCheck:
  - {port: 1, uri: /health, interval: 10s, timeout: 500ms, match: {status: "204", body: up}}
  - {port: 2, protocol: tcp}
`);
  assert.deepEqual(told, []);
  assert.deepEqual(config?.inbound?.healthChecks, [
    {
      port: 1,
      protocol: "rest",
      uri: "/health",
      intervalMs: 10_000,
      timeoutMs: 500,
      status: 204,
      body: "up",
    },
    { port: 2, protocol: "tcp", uri: "/", intervalMs: 30_000, timeoutMs: 3_000 },
  ]);
  const wrong = (check: string) => checks(`localHealthCheck: [${check}]`).told.join("\n");
  assert.match(wrong("{uri: /}"), /localHealthCheck\.0\.port.*want the application's port/);
  assert.match(wrong("{port: 1, protocol: grpc}"), /0\.protocol "grpc": want rest or tcp/);
  assert.match(wrong("{port: 1, uri: health}"), /0\.uri "health": want a path/);
  assert.match(wrong("{port: 1, uri: '/a b'}"), /0\.uri/);
  assert.match(wrong("{port: 1, interval: 0s}"), /0\.interval "0s": want a duration/);
  assert.match(wrong("{port: 1, timeout: soon}"), /0\.timeout "soon"/);
  assert.match(wrong("{port: 1, match: {status: 99}}"), /0\.match\.status "99": want a status/);
  assert.match(wrong("{port: 1, match: {body: 7}}"), /0\.match\.body "7": want a regular expression/);
  assert.match(wrong("{port: 1, match: {header: x}}"), /0\.match\.header.*want status, body/);
  assert.match(wrong("{port: 1, every: 3s}"), /0\.every "3s": there is no such key/);
  assert.match(wrong("{port: 2, protocol: tcp, match: {status: 200}}"), /0\.match.*gets no answer to match/);
  assert.match(wrong("{port: 1}, {port: 1}"), /1.*port 1 is checked twice/);
  assert.match(wrong("7"), /want a list of maps/);
  assert.match(
    wrong("{port: 9}"),
    /S127 localHealthCheck of port 9 has no effect: no service port leads to it/,
  );
});

Deno.test("ports of a control plane need one", () => {
  const on = { CSE_MESH_INBOUND_FROMCONTROLPLANE: "true" };
  assert.match(
    read(on).told.join(),
    /^S127 inbound\.fromControlPlane has no effect: the rules come from files/,
  );
  const chassis = "cse: {service: {registry: {serviceDiscovery: {type: pilotv2, address: 'grpc://p:1'}}}}";
  assert.equal(
    read(on, { "chassis.yaml": chassis, "mesher.yaml": "localHealthCheck: [{port: 9}]" }).told
      .filter((t) => !t.includes("S116")).join(),
    "",
  );
  assert.equal(read(on, { "chassis.yaml": chassis }).config?.inbound?.fromControlPlane, true);
  assert.match(
    read({ ...on, INSTANCE_IP: "" }, { "chassis.yaml": chassis }).told.join("\n"),
    /S125 .*INSTANCE_IP is not set/,
  );
});

/**
 * gRPC's own interoperability cases through the agent: clients and servers of grpc-js and grpc-go, in every pairing, to one service by
 * its name alone, then split by a VirtualService (by a header, else by weight).
 */
import assert from "node:assert/strict";
import { type AgentProcess, startAgentProcess } from "../harness/agent.ts";
import { until, within } from "../harness/bytes.ts";
import { destinationRule, makeConf, serviceEntry } from "../harness/conf.ts";
import { deadPort } from "../harness/upstream.ts";
import { judge, judged } from "./judges.ts";
import { type ForeignServer, startServer } from "./process.ts";

const CASES = [
  "empty_unary",
  "large_unary",
  "client_streaming",
  "server_streaming",
  "ping_pong",
  "empty_stream",
  "timeout_on_sleeping_server",
  "cancel_after_begin",
  "cancel_after_first_response",
  "status_code_and_message",
  "special_status_message",
  "custom_metadata",
  "unimplemented_method",
  "unimplemented_service",
];

/** grpc-go's client can name no other authority than what it connects to. */
const HOST = "localhost";
const FULL = `${HOST}.default.svc.cluster.local`;

const at = (name: string): string => new URL(`./grpc/${name}`, import.meta.url).pathname;

const servers: Record<string, () => Promise<ForeignServer>> = {
  "grpc-js": () => startServer(judge("node"), [at("server.mjs")], /^\{"port":(\d+)\}$/m),
  "grpc-go": () =>
    startServer(judge("server"), ["-port=0"], /interop server listening on \S+:(\d+)$/m, {
      GRPC_GO_LOG_SEVERITY_LEVEL: "info",
    }),
};

/** Each plays all cases and gives a line per case, `CASE ok` when all is well. `version`: sent as x-version. */
type Client = (agent: AgentProcess, version?: string) => Promise<string[]>;

const clients: Record<string, Client> = {
  async "grpc-js"({ http: { port } }, version = "-") {
    const { stdout, stderr } = await within(
      new Deno.Command("node", {
        args: [at("client.mjs"), String(port), `${HOST}:${port}`, version, ...CASES],
      }).output(),
      "the end of grpc-js' client",
      60_000,
    );
    const lines = new TextDecoder().decode(stdout).trim().split("\n");
    return lines.length === CASES.length ? lines : [...lines, new TextDecoder().decode(stderr)];
  },
  async "grpc-go"({ http: { port } }, version) {
    const lines: string[] = [];
    for (const name of CASES) {
      const { success, stderr } = await within(
        new Deno.Command(judge("client"), {
          args: [
            `-server_host=${HOST}`,
            `-server_port=${port}`,
            `-test_case=${name}`,
            ...(version === undefined ? [] : [`-additional_metadata=x-version:${version}`]),
          ],
          env: { NO_PROXY: "*" },
        }).output(),
        `the end of grpc-go's ${name}`,
        30_000,
      );
      lines.push(`${name} ${success ? "ok" : new TextDecoder().decode(stderr).trim()}`);
    }
    return lines;
  },
};

const virtualService = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split}
spec:
  hosts: [${HOST}]
  http:
  - match: [{headers: {x-version: {exact: v1}}}]
    route: [{destination: {host: ${HOST}, subset: v1}}]
  - match: [{headers: {x-version: {exact: v2}}}]
    route: [{destination: {host: ${HOST}, subset: v2}}]
  - route:
    - {destination: {host: ${HOST}, subset: v1}, weight: 50}
    - {destination: {host: ${HOST}, subset: v2}, weight: 50}
`;

for (const [serverName, start] of Object.entries(servers)) {
  for (const [clientName, play] of Object.entries(clients)) {
    const go = [
      serverName === "grpc-go" ? "server" : "node",
      clientName === "grpc-go" ? "client" : "node",
    ] as const;
    judged(`gRPC interop: ${clientName} asks ${serverName}, 14 cases`, go, async (t) => {
      await using v1 = await start();
      await using v2 = await start();
      const port = deadPort();
      const entry = (endpoints: Record<string, number>): string =>
        serviceEntry(FULL, port, endpoints).replace("protocol: HTTP}", "protocol: GRPC}");
      await using conf = await makeConf({
        http: `127.0.0.1:${port}`,
        files: { "rules/service.yaml": entry({ v1: v1.port }) },
        mesh: { accessLog: "json" },
      });
      await using agent = await startAgentProcess(["run", "--config", conf.path]);
      const ok = CASES.map((name) => `${name} ok`);
      /** Plays all cases: all must pass, on just these upstreams. */
      const passes = async (upstreams: readonly { readonly port: number }[], version?: string) => {
        const startMs = Date.now();
        assert.deepEqual(await play(agent, version), ok);
        const lines = () => agent.accessLog().filter((l) => Date.parse(l.start_time) >= startMs);
        await until(() => lines().length >= CASES.length, "a log line of each case");
        const used = new Set(lines().map((l) => l.upstream_host).filter((u) => u !== null));
        assert.deepEqual([...used].sort(), upstreams.map(({ port }) => `127.0.0.1:${port}`).sort());
      };

      await t.step("by its name alone", () => passes([v1]));

      await conf.write("rules/service.yaml", entry({ v1: v1.port, v2: v2.port }));
      await conf.write("rules/split.yaml", `${destinationRule(HOST, ["v1", "v2"])}---\n${virtualService}`);
      await until(async () => {
        const answer = await fetch(`http://127.0.0.1:${agent.admin.port}/program`);
        return (await answer.text()).includes("|v2|");
      }, "the split in force");

      await t.step("by a header", () => passes([v2], "v2"));
      await t.step("by weight", () => passes([v1, v2]));
    });
  }
}

/** What an agent whose rules are files loads before its first request, as the static module graph tells it. */
import assert from "node:assert/strict";

const root = new URL("../", import.meta.url).href;

interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly code?: { readonly specifier?: string };
    readonly isDynamic?: boolean;
  }[];
}

/** `main`, `entries` of its graph, and all that they import statically. */
async function loaded(main: string, entries: readonly string[]): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", main],
    cwd: new URL(root),
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as { modules: Module[] };
  const bySpecifier = new Map(modules.map((module) => [module.specifier, module]));
  const seen = new Set<string>();
  const visit = (specifier: string): void => {
    if (seen.has(specifier)) return;
    seen.add(specifier);
    for (const { code, isDynamic } of bySpecifier.get(specifier)?.dependencies ?? []) {
      if (code?.specifier !== undefined && isDynamic !== true) visit(code.specifier);
    }
  };
  for (const entry of [main, ...entries]) {
    assert.ok(bySpecifier.has(root + entry), entry);
    visit(root + entry);
  }
  return [...seen].map((specifier) => specifier.replace(root, "")).sort();
}

Deno.test("start: rules from files load nothing of a control plane, HTTP/2, the admin API or other commands", async () => {
  const files = await loaded("agent/supervisor/worker.ts", [
    "agent/discovery/file.ts",
    "agent/net/watch.ts",
    "agent/net/scoped_rules.ts",
  ]);
  const foreign = files.filter((file) =>
    /^agent\/(xds|cli\/(demo|explain|check|program|status))|^agent\/discovery\/(ads|pilot|compose|intake)/
      .test(file) ||
    /^agent\/(admin\/(?!(?:limit_|inbound_)?gauges|readiness|sync)|net\/(grpc|h2_|stream_transport|call_|connect_error|http_client|tls|token))|^protos\//
      .test(file) ||
    /^agent\/(proxy\/h2_|wire\/http2)/.test(file) ||
    /^npm:(?!js-yaml@)|^npm:\/(?!js-yaml@)|^node:(?!buffer$)/.test(file)
  );
  assert.deepEqual(foreign, []);
  assert.ok(files.includes("agent/istio/compile.ts") && files.includes("agent/proxy/proxy.ts"));
});

Deno.test("start: the supervisor loads the settings and its own few files", async () => {
  const files = await loaded("mod.ts", [
    "agent/cli/main.ts",
    "agent/cli/run.ts",
    "agent/supervisor/isolated.ts",
  ]);
  const foreign = files.filter((file) =>
    !/^(mod\.ts|agent\/(cli|core|settings|supervisor)\/)/.test(file) && !/^npm:\/?js-yaml@/.test(file)
  );
  assert.deepEqual(foreign, [
    "agent/discovery/rule_places.ts",
    "agent/net/announce.ts",
    "agent/net/clock.ts",
    "agent/net/collect_garbage.ts",
    "agent/net/log.ts",
    "agent/net/net_scope.ts",
    "agent/net/paths.ts",
    "agent/net/prepared.ts",
    "agent/net/read_gate.ts",
    "agent/net/read_scope.ts",
    "agent/net/rights.ts",
    "agent/net/rule_files.ts",
    "agent/net/sd_notify.ts",
    "agent/net/turn.ts",
    "agent/proxy/inbound_port.ts",
    "agent/route/ip_range.ts",
  ]);
});

Deno.test("start: rules from a control plane by the agent's own HTTP/2 load nothing of grpc-js or YAML, and no TLS before it is wanted", async () => {
  const files = await loaded("agent/supervisor/worker.ts", [
    "agent/discovery/pilotv3.ts",
    "agent/net/h2_transport.ts",
    "agent/xds/codec.ts",
  ]);
  const foreign = files.filter((file) =>
    /grpc-js|js-yaml|^agent\/net\/(grpc_(?!decoder)|tls_(?!refusal)|diagnose)|^node:(?!buffer$)/.test(file)
  );
  assert.deepEqual(foreign, []);
  assert.ok(files.includes("agent/wire/http2/connection.ts"));
});

Deno.test("start: version loads the command line and little else", async () => {
  const files = await loaded("mod.ts", ["agent/cli/main.ts", "agent/cli/version.ts"]);
  assert.deepEqual(
    files.filter((file) => !/^(mod\.ts|agent\/(cli|core)\/|agent\/net\/prepared\.ts)/.test(file)),
    [],
  );
});

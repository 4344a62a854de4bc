/**
 * What every source of rules must do, whatever it asks. Iterates over the list of plugins: a new one is tested by being in it.
 */
import assert from "node:assert/strict";
import type { DiscoveryInput, DiscoverySource, Publication } from "../../agent/discovery/types.ts";
import { pluginOf, PLUGINS } from "../../agent/discovery/plugins.ts";
import { systemClock } from "../../agent/net/clock.ts";
import { systemResolver } from "../../agent/net/dns.ts";
import { createHttp2Transport } from "../../agent/net/h2_transport.ts";
import { createHttpClient } from "../../agent/net/http_client.ts";
import { timerTurn } from "../../agent/net/turn.ts";
import { openRulesDirectory } from "../../agent/net/watch.ts";
import { readSettings, type SettingsReading } from "../../agent/settings/read.ts";
import { TYPES } from "../../agent/settings/schema.ts";
import type { AgentConfig, SourceType } from "../../agent/settings/types.ts";
import { ISTIOSERVER, istioserver } from "../harness/conf.ts";
import { startControlPlane, type Temper } from "../harness/control_plane.ts";
import { startRestPilot } from "../harness/rest_pilot.ts";

const IDENTITY = { POD_NAME: "shop-1", POD_NAMESPACE: "shop", INSTANCE_IP: "10.0.0.7" };

function read(type: SourceType, address: string): SettingsReading {
  return readSettings({
    directory: "/conf",
    files: new Map(),
    env: new Map(Object.entries({
      ...IDENTITY,
      CSE_SERVICE_REGISTRY_SERVICEDISCOVERY_TYPE: type,
      CSE_SERVICE_REGISTRY_SERVICEDISCOVERY_ADDRESS: address,
      CSE_DISCOVERY_CONNECTTIMEOUT: "5s",
    })),
  });
}

/** A port where nobody listens. */
function closedPort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return (listener.addr as Deno.NetAddr).port;
}

/** By type: an address where there is nothing, and one that is none. */
const NOWHERE: Readonly<Record<SourceType, { nothing(): string; readonly wrong: string }>> = {
  file: { nothing: () => "/nowhere/rules", wrong: "grpc://pilot:15010" },
  pilot: { nothing: () => `http://127.0.0.1:${closedPort()}`, wrong: "grpc://pilot:15010" },
  pilotv2: { nothing: () => `grpc://127.0.0.1:${closedPort()}`, wrong: "http://pilot:8080" },
  pilotv3: { nothing: () => `grpc://127.0.0.1:${closedPort()}`, wrong: "https://pilot:15012" },
};

function configOf(type: SourceType, address = NOWHERE[type].nothing()): AgentConfig {
  const { config, diagnostics } = read(type, address);
  assert.deepEqual(diagnostics, []);
  return config as AgentConfig;
}

interface Started {
  readonly source: DiscoverySource;
  readonly published: readonly Publication[];
  readonly logged: readonly string[];
}

interface Peer extends AsyncDisposable {
  readonly address: string;
  /** It is gone, with all that it had. */
  leave(): Promise<void>;
}

const UPSTREAMS = { v1: 8001, v2: 8002 };

/** By type: something that serves rules for the service istioserver. */
const PEERS: Readonly<Record<SourceType, () => Promise<Peer>>> = {
  async file() {
    const address = await Deno.makeTempDir();
    await Deno.writeTextFile(`${address}/rules.yaml`, istioserver(UPSTREAMS, { v1: 50, v2: 50 }));
    const leave = () => Deno.remove(address, { recursive: true }).catch(() => {});
    return { address, leave, [Symbol.asyncDispose]: leave };
  },
  pilot() {
    const pilot = startRestPilot();
    pilot.registrationOnly = true;
    const hosts = [{ ip_address: "127.0.0.1", port: UPSTREAMS.v1 }];
    pilot.set("/v1/registration", JSON.stringify([{ "service-key": `${ISTIOSERVER}|http`, hosts }]));
    let gone: Promise<void> | undefined;
    const leave = () => gone ??= pilot.close();
    return Promise.resolve({
      address: `http://127.0.0.1:${pilot.port}`,
      leave,
      [Symbol.asyncDispose]: leave,
    });
  },
  pilotv2: () => planePeer("pilot-1.0.9"),
  pilotv3: () => planePeer("istiod"),
};

async function planePeer(temper: Temper): Promise<Peer> {
  const plane = await startControlPlane({ temper });
  await plane.serve(istioserver(UPSTREAMS, { v1: 50, v2: 50 }));
  return {
    address: plane.address,
    leave: () => plane.kill(),
    [Symbol.asyncDispose]: () => plane[Symbol.asyncDispose](),
  };
}

async function start(type: SourceType, config: AgentConfig): Promise<Started> {
  const published: Publication[] = [];
  const logged: string[] = [];
  const log: DiscoveryInput["log"] = {
    level: "info",
    log: (level, message) => logged.push(`${level} ${message}`),
  };
  const source = (await pluginOf(type).load()).start({
    config,
    clock: systemClock,
    log,
    openDirectory: (path) => openRulesDirectory(path, log),
    publish: (publication) => published.push(publication),
    openTransport: () => Promise.resolve(createHttp2Transport()),
    openHttpClient: () => Promise.resolve(createHttpClient()),
    resolver: systemResolver,
    rng: () => 0.5,
    yieldTurn: timerTurn,
  });
  return { source, published, logged };
}

Deno.test("plugins: sorted, each type once, each with one line about it", () => {
  const types = PLUGINS.map((plugin) => plugin.type);
  assert.deepEqual(types, [...TYPES].sort());
  assert.deepEqual(types, [...new Set(types)]);
  for (const { type, summary } of PLUGINS) {
    assert.match(summary, /^\S[^\n]{5,100}$/, type);
    assert.equal(pluginOf(type).type, type);
  }
});

for (const { type } of PLUGINS) {
  Deno.test(`plugin ${type}: an address of another kind is refused with what to write`, () => {
    const { config, diagnostics } = read(type, NOWHERE[type].wrong);
    assert.equal(config, undefined);
    assert.deepEqual(diagnostics.map((d) => d.code), ["S114"]);
    assert.match(diagnostics[0]?.message ?? "", /^Cannot use serviceDiscovery\.address ".*": .*; want /);
  });

  Deno.test(`plugin ${type}: where there is nothing it is ready after the first try, says why, and closes`, async () => {
    const config = configOf(type);
    const { source, published, logged } = await start(type, config);
    try {
      await source.ready;
      assert.deepEqual(published, []);
      const problems = source.problems();
      assert.ok(problems.length > 0, "it says why");
      for (const { code, severity, message, hint } of problems) {
        assert.match(code, /^D\d{3}$/);
        assert.notEqual(severity, "info");
        assert.match(message, /^Cannot [a-z]+ .*;? want /, message);
        assert.ok((hint ?? "").length > 0, message);
      }
      assert.ok(logged.some((line) => /^(warn|error) /.test(line)), "the log says so");
      if (type === "file") {
        assert.deepEqual(source.status(), []);
      } else {
        const status = source.status();
        assert.ok(status.length > 0);
        for (const { name, step, addresses, connects, failures, reason, nextTryMs, node, mode } of status) {
          assert.ok(name.startsWith(type) || type === "pilot", name);
          assert.equal(step, "waiting");
          assert.deepEqual(addresses.map((a) => a.inUse), [false]);
          assert.equal(addresses[0]?.address, config.serviceDiscovery.address);
          assert.ok(connects >= 1 && failures >= 1);
          assert.match(reason ?? "", /D202/);
          assert.ok((nextTryMs ?? 0) > 0);
          assert.equal(node, "sidecar~10.0.0.7~shop-1.shop~shop.svc.cluster.local");
          assert.match(mode, /^(state-of-the-world|delta|polling)$/);
        }
      }
    } finally {
      await source.close();
    }
    // Whatever it says from now on, it says the same: nothing goes on behind it.
    const after = JSON.stringify(source.status());
    await timerTurn();
    assert.equal(JSON.stringify(source.status()), after);
  });

  Deno.test(`plugin ${type}: may be closed at once, and twice`, async () => {
    const { source } = await start(type, configOf(type));
    await source.close();
    await source.close();
  });

  Deno.test(`plugin ${type}: refresh tries at once and ends also when there is nothing`, async () => {
    const { source, published } = await start(type, configOf(type));
    await source.ready;
    const before = source.status().map((s) => s.connects);
    await source.refresh();
    source.status().forEach((s, i) => assert.ok(s.connects > (before[i] as number), s.name));
    assert.deepEqual(published, []);
    await source.close();
  });

  Deno.test(`plugin ${type}: publishes what its peer has, and keeps it when the peer is gone`, async () => {
    await using peer = await PEERS[type]();
    const { source, published } = await start(type, configOf(type, peer.address));
    try {
      await source.ready;
      const { program } = published.at(-1) as Publication;
      const hosts = [...program.clusters.values()].filter(({ name }) => name.includes(ISTIOSERVER));
      assert.ok(hosts.length > 0, [...program.clusters.keys()].join(" "));
      const tables = [...program.routeConfigurations.values()];
      const domains = tables.flatMap((table) => table.virtualHosts.flatMap((vh) => vh.domains));
      assert.ok(domains.some((domain) => domain.startsWith(ISTIOSERVER)), domains.join(" "));
      for (const { step, reason, types, addresses } of source.status()) {
        assert.deepEqual([step, reason, addresses.map((a) => a.inUse)], ["synced", undefined, [true]]);
        assert.ok(types.length > 0);
        for (const { type, received, sent, bytes, nacks } of types) {
          assert.ok(received <= sent && (received === 0 || bytes > 0) && nacks === 0, type);
        }
      }

      await peer.leave();
      await source.refresh();
      const last = published.at(-1) as Publication;
      assert.equal(last.program.clusters.size, program.clusters.size, "nothing is lost with the peer");
      assert.equal(last.program.routeConfigurations.size, program.routeConfigurations.size);
      for (const { step, failures, reason } of source.status()) {
        assert.notEqual(step, "synced");
        assert.ok(failures > 0);
        assert.match(reason ?? "", /^\[D20\d\] Cannot /);
      }
    } finally {
      await source.close();
    }
  });
}

/**
 * TCP and TLS routes against Envoy: random ServiceEntries and VirtualServices, compiled by the agent; its listeners given to Envoy,
 * which takes the destination of a connection from a PROXY line, as a sidecar takes it from the socket. The agent is asked by
 * CONNECT. Same connections (plain, or a TLS hello with a server name): the same backend answers, or the connection is closed.
 *
 * MESH_ORACLE_SEED and MESH_ORACLE_TCP_SETS (default 60) choose the rule sets; a failure prints the seed.
 */
import assert from "node:assert/strict";
import { envoyBootstrap } from "../../agent/admin/envoy_bootstrap.ts";
import { extension, type Json, type JsonObject } from "../../agent/admin/envoy_json.ts";
import { createCompiler } from "../../agent/istio/compile.ts";
import type { FilterChain, Listener, Program } from "../../agent/model/model.ts";
import { bytesOf, textOf, within } from "../harness/bytes.ts";
import { CONTEXT, parseSet, SEED, textOf as rulesText } from "./compare.ts";
import { startEnvoy } from "./envoy.ts";
import { type Random, randomOf } from "./generate.ts";
import { startOwnProxy } from "./own_proxy.ts";
import { closeQuietly } from "./raw_http.ts";

const SETS = Number(Deno.env.get("MESH_ORACLE_TCP_SETS") ?? 60);
const CONNECTIONS = 16;

/** Says its name to whoever connects. */
class Backend {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #running: Promise<void>;

  constructor(readonly name: string) {
    this.#running = this.#serve();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) {
      try {
        await connection.write(bytesOf(this.name));
        await connection.closeWrite();
        // Unread bytes would turn the close into a reset, which may overtake the name.
        const buf = new Uint8Array(1024);
        while (await connection.read(buf) !== null);
      } catch {
        // Cut by the proxy.
      }
      closeQuietly(connection);
    }
  }

  async stop(): Promise<void> {
    this.#listener.close();
    await this.#running;
  }
}

/** The first bytes of a TLS connection: a hello with at most a server name. */
function clientHello(name: string): Uint8Array {
  const u16 = (n: number) => [n >> 8, n & 255];
  const host = [...bytesOf(name)];
  const sni = name === ""
    ? []
    : [0, 0, ...u16(host.length + 5), ...u16(host.length + 3), 0, ...u16(host.length), ...host];
  const versions = [0, 43, 0, 3, 2, 3, 4];
  const extensions = [...sni, ...versions];
  const body = [
    3,
    3,
    ...new Array(32).fill(7),
    0,
    0,
    2,
    0x13,
    1,
    1,
    0,
    ...u16(extensions.length),
    ...extensions,
  ];
  const message = [1, 0, ...u16(body.length), ...body];
  return Uint8Array.from([22, 3, 1, ...u16(message.length), ...message]);
}

interface Connection {
  /** An address, or a host. */
  readonly host: string;
  readonly port: number;
  /** Server name of a hello; undefined = plain bytes. */
  readonly serverName: string | undefined;
}

/** Everything until the end; empty when the connection is closed, or reset. */
async function ask(port: number, before: string, until: RegExp, first: Uint8Array): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  let text = "";
  try {
    await connection.write(bytesOf(before));
    const buf = new Uint8Array(4096);
    while (!until.test(text)) {
      const n = await connection.read(buf);
      if (n === null) return "";
      text += textOf(buf.subarray(0, n));
    }
    text = text.replace(until, "");
    await connection.write(first);
    for (;;) {
      const n = await connection.read(buf);
      if (n === null) break;
      text += textOf(buf.subarray(0, n));
    }
  } catch {
    // Reset: closed without an answer.
  } finally {
    closeQuietly(connection);
  }
  return text.startsWith("HTTP/1.1 5") ? "" : text;
}

const firstBytes = ({ serverName }: Connection) =>
  serverName === undefined ? bytesOf("plain\n") : clientHello(serverName);

function askEnvoy(port: number, destination: string, c: Connection): Promise<string> {
  return ask(port, `PROXY TCP4 127.0.0.9 ${destination} 4000 ${c.port}\r\n`, /^/, firstBytes(c));
}

function askAgent(port: number, c: Connection): Promise<string> {
  const authority = `${c.host}:${c.port}`;
  return ask(
    port,
    `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`,
    /^HTTP\/1\.1 200 [^]*?\r\n\r\n/,
    firstBytes(c),
  );
}

function envoyListener(listener: Listener): JsonObject {
  const filters = "envoy.extensions.filters";
  return {
    name: listener.name,
    address: { socketAddress: { address: "127.0.0.1", portValue: 0 } },
    listenerFilters: [
      extension(
        "envoy.filters.listener.proxy_protocol",
        `${filters}.listener.proxy_protocol.v3.ProxyProtocol`,
        {},
      ),
      extension(
        "envoy.filters.listener.tls_inspector",
        `${filters}.listener.tls_inspector.v3.TlsInspector`,
        {},
      ),
    ],
    filterChains: apart(listener.filterChains).map(envoyChain),
    ...(listener.defaultFilterChain === undefined
      ? {}
      : { defaultFilterChain: envoyChain(listener.defaultFilterChain) }),
  };
}

/** Envoy refuses a listener of which two chains share one of their ranges; the agent lets the first have it. */
function apart(chains: readonly FilterChain[]): FilterChain[] {
  const taken = new Set<string>();
  return chains.flatMap((chain) => {
    const ranges = chain.match?.prefixRanges;
    if (ranges === undefined) return [chain];
    const free = ranges.filter((range) => {
      const key = `${range} ${chain.match?.serverNames}`;
      return !taken.has(key) && taken.add(key);
    });
    return free.length === 0 ? [] : [{ ...chain, match: { ...chain.match, prefixRanges: free } }];
  });
}

function envoyChain({ match, tcp }: FilterChain): JsonObject {
  assert.ok(tcp !== undefined);
  return {
    filterChainMatch: {
      ...(match?.serverNames === undefined ? {} : { serverNames: [...match.serverNames] }),
      ...(match?.prefixRanges === undefined ? {} : {
        prefixRanges: match.prefixRanges.map((range) => {
          const [addressPrefix = "", length] = range.split("/");
          return { addressPrefix, prefixLen: Number(length) };
        }),
      }),
    },
    filters: [
      extension("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
        statPrefix: tcp.statPrefix,
        ...(tcp.cluster === undefined
          ? { weightedClusters: { clusters: (tcp.weightedClusters ?? []).map((c) => ({ ...c })) } }
          : { cluster: tcp.cluster }),
      }),
    ],
  };
}

/** Hosts `NAME.rN.test` on ports 1000 + 2N (TCP) and 1001 + 2N (TLS). */
class Rules {
  readonly objects: unknown[] = [];
  readonly connections: Connection[];
  readonly #tcp: number;
  readonly #tls: number;

  constructor(
    readonly number: number,
    readonly random: Random,
    readonly ports: Readonly<Record<string, number>>,
  ) {
    this.#tcp = 1000 + 2 * number;
    this.#tls = 1001 + 2 * number;
    this.#service("a", [`10.66.${number}.1`]);
    this.#service("b", [this.#rarely(2) ? `10.66.${number}.64/26` : `10.66.${number}.65`]);
    // Without an address: reached by name, and TLS by server name.
    this.#service("c", []);
    this.#service("*.w", []);
    // Destinations only.
    this.#service("d", [`10.66.${number}.4`]);
    this.#service("e", [`10.66.${number}.5`]);
    for (const short of ["a", "b", "c", "*.w"]) if (!this.#rarely(3)) this.#virtualService(short);
    this.connections = Array.from({ length: CONNECTIONS }, () => this.#connection());
  }

  #one<T>(list: readonly T[]): T {
    return list[this.random(list.length)]!;
  }

  #rarely(n: number): boolean {
    return this.random(n) === 0;
  }

  host(short: string): string {
    return `${short}.r${this.number}.test`;
  }

  #add(kind: string, name: string, spec: unknown): void {
    const metadata = { name: `r${this.number}-${name.replace("*.", "")}`, namespace: "default" };
    this.objects.push({ apiVersion: "networking.istio.io/v1", kind, metadata, spec });
  }

  #service(short: string, addresses: readonly string[]): void {
    const host = this.host(short);
    this.#add("ServiceEntry", short, {
      hosts: [host],
      addresses,
      ports: [
        { number: this.#tcp, name: "tcp", protocol: "TCP" },
        { number: this.#tls, name: "tls", protocol: this.#one(["TLS", "HTTPS"]) },
      ],
      resolution: "STATIC",
      endpoints: [{
        address: "127.0.0.1",
        ports: { tcp: this.ports[short]!, tls: this.ports[short]! },
        labels: { version: "v1" },
      }],
    });
    this.#add("DestinationRule", short, {
      host,
      subsets: [{ name: "v1", labels: { version: "v1" } }, { name: "empty", labels: { version: "v9" } }],
    });
  }

  #virtualService(short: string): void {
    const host = this.host(short);
    const routes = (kind: string, one: () => unknown) =>
      this.#rarely(4) ? {} : { [kind]: Array.from({ length: 1 + this.random(3) }, one) };
    this.#add("VirtualService", short, {
      hosts: [host],
      ...(this.#rarely(12) ? { gateways: ["other"] } : {}),
      tcp: [{ match: [{ port: 9 }], route: [{ destination: { host } }] }],
      ...routes("tcp", () => ({
        ...(this.#rarely(3)
          ? {}
          : { match: Array.from({ length: 1 + this.random(2) }, () => this.#guards(2)) }),
        route: this.#route(),
      })),
      ...routes("tls", () => ({
        match: Array.from({ length: 1 + this.random(2) }, () => ({
          sniHosts: short.startsWith("*.")
            ? [this.#one([host, this.host("x.w"), this.host("y.w"), this.host("*.z.w")])]
            : [host],
          ...this.#guards(4),
        })),
        route: this.#route(),
      })),
    });
  }

  /** `n`: how rarely there are subnets. */
  #guards(n: number): Record<string, unknown> {
    const m: Record<string, unknown> = {};
    if (this.#rarely(n)) {
      const net = `10.66.${this.number}`;
      m["destinationSubnets"] = [
        this.#one([`${net}.1`, `${net}.64/26`, `${net}.96/27`, `${net}.0/24`, `${net}.65/32`]),
      ];
    }
    if (this.#rarely(5)) m["port"] = this.#one([this.#tcp, this.#tls, 9]);
    if (this.#rarely(6)) m["sourceLabels"] = { app: this.#one(["oracle", "oracle", "other"]) };
    if (this.#rarely(8)) m["sourceNamespace"] = this.#one(["default", "default", "elsewhere"]);
    if (this.#rarely(8)) m["gateways"] = this.#one([["mesh"], ["mesh", "other"], ["other"]]);
    return m;
  }

  #route(): unknown[] {
    const count = this.#one([1, 1, 2, 3]);
    const chosen = this.random(count);
    return Array.from({ length: count }, (_, i) => ({
      destination: {
        host: this.host(this.#one(["a", "c", "d", "d", "e", "e"])),
        ...(this.#rarely(2) ? {} : { subset: this.#one(["v1", "v1", "v1", "v1", "empty", "nowhere"]) }),
        // Without it the listener's port is meant only where the service has several.
        ...(this.#rarely(3) ? { port: { number: this.#one([this.#tcp, this.#tls]) } } : {}),
      },
      ...(count === 1 ? {} : { weight: i === chosen ? 100 : 0 }),
    }));
  }

  #connection(): Connection {
    const net = `10.66.${this.number}`;
    const port = this.#one([this.#tcp, this.#tls]);
    const host = this.#one([
      ...[1, 1, 64, 65, 97, 130].map((last) => `${net}.${last}`),
      "192.0.2.1",
      ...["a", "b", "c", "x.w"].map((short) => this.host(short)),
    ]);
    const serverName = this.#one([
      undefined,
      ...["a", "a", "b", "c", "x.w", "y.w", "q.z.w"].map((short) => this.host(short)),
      "elsewhere.test",
      "",
    ]);
    return { host, port, serverName };
  }
}

/** Where a sidecar would have connected to. */
function addressOf(program: Program, { host, port }: Connection, number: number): string {
  if (/^\d/.test(host)) return host;
  const net = `10.66.${number}`;
  if (host.startsWith("a.")) return `${net}.1`;
  if (!host.startsWith("b.")) return "203.0.113.9";
  // No rule speaks of .70: a name stands for the whole range.
  return program.listeners?.has(`${net}.65_${port}`) ? `${net}.65` : `${net}.70`;
}

/** A service without an address may have one of its own, where another took its place in the shared one. */
function listenerAt(program: Program, host: string, address: string, port: number): Listener | undefined {
  const own = host.replace(/^x\.w/, "*.w");
  const listener = program.listeners?.get(`${own}_${port}`) ?? program.listeners?.get(`${address}_${port}`) ??
    program.listeners?.get(`0.0.0.0_${port}`);
  if (listener === undefined) return undefined;
  return byService(listener).find((each) => each.filterChains[0]!.service === own) ?? listener;
}

/**
 * The chains of each service apart, `NAME of SERVICE`: Envoy sees an address, which others' rules may speak of, where the application
 * names the service.
 */
function byService(listener: Listener): Listener[] {
  const services = new Set(listener.filterChains.map((chain) => chain.service));
  return [...services].map((service) => ({
    ...listener,
    name: `${listener.name} of ${service}`,
    filterChains: listener.filterChains.filter((chain) => chain.service === service),
  }));
}

/** Services without an address, or with a range of them; their TLS port is odd. */
const NAMED_ONLY = /^(b|c|x\.w)\./;

/** Where the agent differs on purpose; each of them occurs. */
const DEVIATIONS: readonly {
  readonly name: string;
  explains(c: Connection, theirs: string, ours: string): boolean;
}[] = [
  {
    // The application names a host here, so nothing has to be caught by 0.0.0.0 for want of an address.
    name: "a service without an address takes no connections to addresses",
    explains: ({ host }, theirs, ours) => /^\d/.test(host) && theirs !== "" && ours === "",
  },
  {
    // Envoy has to guess the service by the server name among all of the port.
    name: "a host that CONNECT names is that service, whatever the hello says",
    explains: ({ host, port, serverName }) => NAMED_ONLY.test(host) && port % 2 === 1 && serverName !== host,
  },
];

Deno.test("envoy: TCP and TLS connections go where Envoy sends them", async () => {
  const names = ["a", "b", "c", "d", "e", "*.w"];
  const backends = names.map((name) => new Backend(name));
  const ports = Object.fromEntries(backends.map((b) => [b.name, b.port]));
  const sets = Array.from(
    { length: SETS },
    (_, n) => new Rules(n, randomOf(SEED * 100_003 + 11_000 + n), ports),
  );
  const documents = sets.flatMap((set) =>
    parseSet({ number: set.number, objects: set.objects, requests: [] })
  );
  const { program } = createCompiler(CONTEXT).update(documents);
  const local = { hostname: "127.0.0.1", port: 0 };
  const bootstrap = envoyBootstrap(program, { listen: local, admin: local, outbound: "REGISTRY_ONLY" });
  const resources = bootstrap["staticResources"] as { listeners: Json[] };
  for (const listener of program.listeners?.values() ?? []) {
    for (const each of [listener, ...byService(listener)]) resources.listeners.push(envoyListener(each));
  }
  const envoy = await startEnvoy(bootstrap);
  const own = startOwnProxy(program);
  const wrong: string[] = [];
  const occurred = new Set<string>();
  const ended = new Map<string, number>();
  try {
    for (const set of sets) {
      for (const c of set.connections) {
        const what = `rule set ${set.number}, ${JSON.stringify(c)}`;
        const address = addressOf(program, c, set.number);
        const listener = listenerAt(program, c.host, address, c.port);
        const theirs = listener === undefined
          ? ""
          : await within(askEnvoy(envoy.ports.get(listener.name)!, address, c), `Envoy's end of ${what}`);
        const ours = await within(askAgent(own.port, c), `the agent's end of ${what}`);
        ended.set(theirs, (ended.get(theirs) ?? 0) + 1);
        if (theirs === ours) continue;
        const kept = DEVIATIONS.find((d) => d.explains(c, theirs, ours));
        if (kept !== undefined) occurred.add(kept.name);
        else {
          wrong.push(
            `${what} at ${listener?.name}: Envoy ${JSON.stringify(theirs)}, agent ${JSON.stringify(ours)}\n${
              Deno.env.has("MESH_ORACLE_RULES")
                ? rulesText({ number: 0, objects: set.objects, requests: [] })
                : ""
            }${
              JSON.stringify(
                listener?.filterChains.map((
                  { match, tcp },
                ) => [match, tcp?.cluster ?? tcp?.weightedClusters]),
              )
            }`,
          );
        }
      }
    }
  } finally {
    await own.stop();
    await envoy.stop();
    await Promise.all(backends.map((b) => b.stop()));
  }
  assert.equal(wrong.length, 0, `seed ${SEED}: ${wrong.length} differ\n\n${wrong.slice(0, 6).join("\n\n")}`);
  assert.deepEqual(DEVIATIONS.map((d) => d.name).filter((name) => !occurred.has(name)), []);
  for (const name of [...names, ""]) {
    assert.ok((ended.get(name) ?? 0) >= SETS / 4, `"${name}" took only ${ended.get(name) ?? 0} connections`);
  }
});

/**
 * What this runtime can do: the one table of what differs between runtimes that the agent starts on (Deno 2.6 to 2.9, from sources
 * or compiled), each found out by trying it, never by a version number.
 *
 * In: nothing, or the settings. Out: a list for `mesh-agent version --capabilities`, or MeshError N118 for settings that need what
 * is missing. Only what the settings need is tried at a start: trying all takes half a second.
 *
 * @example
 * ```ts ignore
 * for (const { name, missing } of await capabilities()) console.log(name, missing ?? "yes");
 * await requireCapabilities(config);
 * ```
 */
import { MeshError } from "../core/errors.ts";
import type { AgentConfig } from "../settings/types.ts";
import { probeCertificate } from "./probe_certificate.ts";

/** One row: what it is called, what the agent does with it, and how it is tried. */
export interface Probe {
  readonly name: string;
  readonly purpose: string;
  /** The setting that needs it, as a user would say it, with these settings; undefined: they do without. */
  neededBy?(config: AgentConfig): string | undefined;
  /** Null when it is there, else why it is not. May throw: that is a reason, too. */
  try(): Promise<string | null> | string | null;
}

export interface Capability {
  readonly name: string;
  readonly purpose: string;
  /** Why it is not there; null when it is. */
  readonly missing: string | null;
}

/** In the order in which they are told. */
export const PROBES: readonly Probe[] = [
  {
    name: "isolation",
    purpose: "a worker that has only the rights of the settings (cse.mesh.isolation)",
    // Not tried at a start: the worker itself tells (N112).
    try: tryIsolation,
  },
  {
    name: "http2-client",
    purpose: "node:http2, for discovery.transport grpc-js",
    neededBy: ({ serviceDiscovery, discovery }) =>
      /^pilotv[23]$/.test(serviceDiscovery.type) && discovery.transport === "grpc-js"
        ? "discovery.transport grpc-js"
        : undefined,
    try: tryHttp2Client,
  },
  {
    name: "tls-client",
    purpose: "node:tls that shows a client certificate, for control planes at grpcs://",
    neededBy: ({ discovery: { addresses, routerAddresses } }) =>
      [...addresses, ...routerAddresses].some(({ scheme }) => scheme === "grpcs")
        ? "a control plane at grpcs://"
        : undefined,
    try: tryTlsClient,
  },
  {
    name: "inbound-mtls",
    purpose: "a TLS server that asks for the client's certificate; nothing needs it yet",
    try: tryInboundMtls,
  },
  {
    name: "watch",
    purpose: "changes of rule files are seen at once; without it after refreshInterval",
    try: () => {
      Deno.watchFs("/etc/hosts", { recursive: false }).close();
      return null;
    },
  },
  {
    name: "linear-regexp",
    purpose: "V8 leaves a pattern that backtracks too much; a second net, behind re2js",
    try: tryLinearRegexp,
  },
];

/** Tries all of them, one after the other. */
export async function capabilities(probes = PROBES): Promise<Capability[]> {
  const found: Capability[] = [];
  for (const probe of probes) {
    found.push({ name: probe.name, purpose: probe.purpose, missing: await missing(probe) });
  }
  return found;
}

/** Throws MeshError N118 when these settings need what the runtime does not have. */
export async function requireCapabilities(config: AgentConfig, probes = PROBES): Promise<void> {
  for (const probe of probes) {
    const needs = probe.neededBy?.(config);
    if (needs === undefined) continue;
    const reason = await missing(probe);
    if (reason === null) continue;
    throw new MeshError(
      "N118",
      `Cannot use ${needs} on Deno "${Deno.version.deno}": this runtime has no ${probe.name} (${reason}); want 2.9`,
    );
  }
}

async function missing(probe: Probe): Promise<string | null> {
  try {
    return await probe.try();
  } catch (error) {
    // Of the runtime's texts the first sentence says it.
    return (error instanceof Error ? error.message : String(error)).split(/\n|(?<=\.) /)[0] as string;
  }
}

/** A probe that gets no answer. */
const PATIENCE_MS = 1000;

function within<T>(promise: Promise<T>, late: T): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const patience = new Promise<T>((resolve) => timer = setTimeout(resolve, PATIENCE_MS, late));
  return Promise.race([promise, patience]).finally(() => clearTimeout(timer));
}

async function tryIsolation(): Promise<string | null> {
  const source = `Deno.permissions.query({ name: "net" }).then(({ state }) => postMessage(state))`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(source)}`, {
    type: "module",
    deno: { permissions: "none" },
  } as WorkerOptions);
  try {
    const state = await within(
      new Promise<string>((resolve) => {
        worker.addEventListener("message", ({ data }) => resolve(data as string));
        worker.addEventListener("error", (event) => {
          event.preventDefault();
          resolve(event.message);
        });
      }),
      "no answer",
    );
    return state === "granted" ? "a worker keeps all rights" : /^(denied|prompt)$/.test(state) ? null : state;
  } finally {
    worker.terminate();
  }
}

async function tryHttp2Client(): Promise<string | null> {
  const { connect, getDefaultSettings } = await import("node:http2");
  // The runtimes without a client have its names, and throw at the first use.
  getDefaultSettings();
  return typeof connect === "function" ? null : "no http2.connect";
}

async function tryTlsClient(): Promise<string | null> {
  const { connect, TLSSocket } = await import("node:tls");
  return typeof connect === "function" && typeof TLSSocket.prototype.getPeerCertificate === "function"
    ? null
    : "no tls.connect that shows the peer's certificate";
}

/** A handshake inside this process: does the server see the certificate of the client? Some runtimes ignore that it asks. */
async function tryInboundMtls(): Promise<string | null> {
  const [{ connect, TLSSocket }, { Duplex }, { cert, key }] = await Promise.all([
    import("node:tls"),
    import("node:stream"),
    probeCertificate("probe"),
  ]);
  type Wire = InstanceType<typeof Duplex>;
  const wire = (other: () => Wire): Wire =>
    new Duplex({
      read() {},
      write(chunk, _encoding, done) {
        other().push(chunk);
        done();
      },
    });
  const near: Wire = wire(() => far);
  const far: Wire = wire(() => near);
  const server = new TLSSocket(
    far as never,
    { isServer: true, cert, key, ca: [cert], requestCert: true, rejectUnauthorized: false } as never,
  );
  const client = connect({ socket: near, cert, key, ca: [cert], servername: "probe" });
  try {
    return await within(
      new Promise<string | null>((resolve) => {
        const failed = (error: Error) => resolve(error.message);
        server.on("error", failed);
        client.on("error", failed);
        server.on("secure", () => {
          const { subject } = server.getPeerCertificate();
          resolve(subject?.CN === "probe" ? null : "the server does not see the client's certificate");
        });
      }),
      "a TLS server over a stream does not answer",
    );
  } finally {
    for (const end of [client, server, near, far]) {
      end.on("error", () => {});
      end.destroy();
    }
  }
}

/** 2^18 ways to match nothing: 25 ms and more by backtracking, well below one without. */
function tryLinearRegexp(): string | null {
  const startMs = performance.now();
  /^(a*)*b$/.test("a".repeat(18));
  return performance.now() - startMs < 8 ? null : "it is no flag of this V8 or was not given";
}

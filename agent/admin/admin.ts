/**
 * The admin API: what people, probes and scrapers ask a running agent.
 *
 * In: a Request (GET or HEAD; POST for /explain and /quitquitquit). Out: a Response, never cached. Reads the current world and the
 * proxy's state; /quitquitquit alone changes something. Unless it listens on an address of the network, the Host must be an IP address, `localhost` or the
 * listen name: a web page that rebinds its own name to 127.0.0.1 is refused.
 *
 * | path | answer |
 * |---|---|
 * | /ready | 200, or 503 with the reasons: listener accepting, first rules in, not draining |
 * | /live | 200 while the process runs |
 * | POST /quitquitquit | from a loopback address: drains, then the process ends with 0 |
 * | /v1/mesher/version, /v1/mesher/health, /v1/mesher/routeRule/{service}, /v1/mesher/metrics | as Mesher's |
 * | /stats/prometheus | metrics |
 * | /diagnostics | what is wrong with the rules, JSON or `?format=text` |
 * | /sync | what each connection to a control plane is at, JSON or `?format=text` |
 * | /explain?method=GET&url=http://reviews:9080/&header=end-user:jason | the decision, text or `?format=json` |
 * | /program | the routing world: `?format=text` (default), `json`, `envoy` |
 *
 * @example
 * ```ts ignore
 * const admin = createAdmin({ config, world, state, expose, problems, status, clock, version: "0.1.0" });
 * await admin(new Request("http://127.0.0.1:30102/ready"));
 * ```
 */
import { type Diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import type { Clock } from "../core/ports.ts";
import type { SourceStatus, World } from "../discovery/types.ts";
import type { RunningInbound } from "../proxy/inbound.ts";
import type { AgentConfig } from "../settings/types.ts";
import { type ProxyState, readinessOf, unreadyReasons } from "./readiness.ts";
import { mesherRouteRules } from "./route_rule.ts";
import { formatSync, type PermissionsReport, syncReport } from "./sync.ts";

export interface AdminInput {
  readonly config: AgentConfig;
  readonly world: { readonly current: World };
  readonly state: ProxyState;
  /** Prometheus text. */
  readonly expose: () => string;
  /** Standing diagnostics of the source, also before it published. */
  readonly problems: () => readonly Diagnostic[];
  /** What each connection to a control plane is at. */
  readonly status: () => readonly SourceStatus[];
  /** Traffic to the local application; undefined = none. Default none. */
  readonly inbound?: () => InboundView | undefined;
  /** What the agent may do. */
  readonly permissions: () => PermissionsReport;
  /** Ends the agent by draining it, as SIGTERM does; default: it is part of a program that is not ended so. */
  readonly quit?: () => void;
  readonly clock: Pick<Clock, "now">;
  readonly version: string;
  /** Runtime name and version, e.g. `deno 2.9.6`. */
  readonly runtime?: string;
}

/** What is told of service ports. */
export type InboundView = Pick<RunningInbound, "status" | "worldOf">;

/** `peer`: address of who asks; default: not known. */
export type Admin = (request: Request, peer?: string) => Promise<Response>;

const MAX_BODY_CHARS = 64 * 1024;
/** Of a program, made in one go: well below a millisecond. */
const CHUNK_CHARS = 64 * 1024;

export function createAdmin(input: AdminInput): Admin {
  const { config, world, state } = input;
  const listenHost = config.listen.admin?.hostname ?? "127.0.0.1";

  const readiness = () => ({
    world: world.current,
    state,
    status: input.status(),
    problems: input.problems(),
    nowMs: input.clock.now(),
  });
  const reasons = (brief = false): string[] => unreadyReasons(readiness(), brief);

  const health = (): Response => {
    const why = reasons();
    return json({
      serviceName: config.service.name,
      version: config.service.version,
      status: why.length === 0 ? "green" : "red",
      connectedConfigCenterClient: false,
      connectedMonitoring: false,
      ...(why.length === 0 ? {} : { error: why.join("; ") }),
      source: { type: config.serviceDiscovery.type, address: config.serviceDiscovery.address },
      revision: world.current.revision,
      publishedMs: world.current.publishedMs,
      diagnostics: countBySeverity(input.problems()),
      stats: world.current.stats,
    }, why.length === 0 ? 200 : 500);
  };

  const syncOf = (url: URL): Response => {
    const report = syncReport({
      config,
      world: world.current,
      problems: input.problems(),
      status: input.status(),
      permissions: input.permissions(),
      inbound: input.inbound?.()?.status() ?? [],
      reasons: reasons(true),
      nowMs: input.clock.now(),
      version: input.version,
    });
    return url.searchParams.get("format") === "text" ? text(formatSync(report) + "\n") : json(report);
  };

  const explainOf = async (request: Request, url: URL): Promise<Response> => {
    const asked = request.method === "POST" ? await askedByBody(request) : askedByQuery(url);
    if (typeof asked === "string") return text(asked + "\n", 400);
    if (url.searchParams.get("direction") === "inbound") {
      const found = inboundWorld(asked.url, input.inbound?.());
      if (typeof found === "string") return text(found + "\n", 400);
      return explained(asked, url, found);
    }
    if (world.current.revision === 0) return text(`Cannot explain: ${reasons().join("; ")}\n`, 503);
    return explained(asked, url, world.current);
  };

  const explained = async (asked: Asked, url: URL, { program, tables }: World): Promise<Response> => {
    const [{ explain, formatExplanation }, { explainConnection, isConnection }, { viewOf }] = await Promise
      .all([
        import("../route/explain.ts"),
        import("../route/explain_l4.ts"),
        import("../route/view.ts"),
      ]);
    let explanation;
    try {
      explanation = isConnection(asked.url)
        ? explainConnection(program, tables, asked.url, input.config.workload.namespace)
        : explain(program, tables, viewOf(asked));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return text(`${error.message}\n`, 400);
    }
    return url.searchParams.get("format") === "json"
      ? json(explanation)
      : text(formatExplanation(explanation) + "\n");
  };

  const programOf = async (url: URL): Promise<Response> => {
    const { program, tables } = world.current;
    const format = url.searchParams.get("format") ?? "text";
    if (format === "text") {
      const { programLines } = await import("../route/program_text.ts");
      return streamed(programLines(program), "\n", "text/plain; charset=utf-8");
    }
    if (format === "json") {
      const { programJsonPieces } = await import("../route/program_text.ts");
      return streamed(programJsonPieces(program), "", "application/json");
    }
    if (format === "envoy") {
      const { envoyBootstrapPieces } = await import("./envoy_bootstrap.ts");
      const options = { listen: config.listen.http, outbound: config.proxy.outboundTrafficPolicy, tables };
      return streamed(envoyBootstrapPieces(program, options), "", "application/json");
    }
    return text(`Cannot print format "${format}": want text, json or envoy\n`, 400);
  };

  /** For Jobs, which end only when their sidecars do. Whoever is on this machine may, but no page in its browser. */
  const quit = (request: Request, peer: string | undefined): Response => {
    if (peer === undefined || !LOOPBACK.test(peer)) {
      return text(`Cannot end the agent for ${peer ?? "an unknown peer"}: want a loopback address\n`, 403);
    }
    if (request.headers.has("origin") || request.headers.has("sec-fetch-site")) {
      return text("Cannot end the agent for a web page\n", 403);
    }
    if (input.quit === undefined) {
      return text("Cannot end the agent: it is part of a program; want that program to end it\n", 501);
    }
    input.quit();
    return text("draining; then the agent ends with 0\n");
  };

  const answer = (request: Request, url: URL, peer: string | undefined): Response | Promise<Response> => {
    const path = url.pathname;
    const methods = METHODS[path] ?? ["GET", "HEAD"];
    if (!methods.includes(request.method)) {
      return text(`Cannot answer method ${request.method} here\n`, 405, { allow: methods.join(", ") });
    }
    switch (path) {
      case "/":
        return text(INDEX);
      case "/ready": {
        const { ready, text: line } = readinessOf(readiness());
        return text(`${line}\n`, ready ? 200 : 503);
      }
      case "/live":
        return text("live\n");
      case "/quitquitquit":
        return quit(request, peer);
      case "/stats/prometheus":
      case "/v1/mesher/metrics":
        return text(input.expose(), 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
      case "/v1/mesher/version":
        return json({
          version: input.version,
          commit: "",
          built: "",
          "Go-Chassis": "",
          runtime: input.runtime ?? "",
        });
      case "/v1/mesher/health":
        return health();
      case "/diagnostics":
        return url.searchParams.get("format") === "text"
          ? text(input.problems().map((d) => formatDiagnostic(d) + "\n").join(""))
          : json(input.problems());
      case "/sync":
        return syncOf(url);
      case "/explain":
        return explainOf(request, url);
      case "/program":
        return programOf(url);
    }
    const service = /^\/v1\/mesher\/routeRule\/([^/]+)$/.exec(path)?.[1];
    if (service !== undefined) {
      const name = decode(service);
      const rules = mesherRouteRules(world.current.program, name);
      return rules.length === 0 ? json(`${name} routeRule not found`, 404) : json(rules);
    }
    return text(`Cannot find "${path}": want one of these\n\n${INDEX}`, 404);
  };

  return async (request, peer) => {
    const url = new URL(request.url);
    if (!hostAllowed(request.headers.get("host") ?? url.host, listenHost)) {
      return text("Cannot answer for this Host: want an IP address or localhost\n", 403);
    }
    const response = await answer(request, url, peer);
    if (request.method !== "HEAD") return response;
    await response.body?.cancel();
    return new Response(null, { status: response.status, headers: response.headers });
  };
}

/** Of paths that take others than GET and HEAD. */
const METHODS: Readonly<Record<string, readonly string[]>> = {
  "/explain": ["GET", "HEAD", "POST"],
  "/quitquitquit": ["POST"],
};
const LOOPBACK = /^(?:::ffff:)?127\.|^::1$/i;

const INDEX = `mesh-agent admin
  /ready                             200 when requests are routed by rules
  /live                              200 while the process runs
  /quitquitquit                      POST from this machine: drains, then ends with 0
  /stats/prometheus                  metrics
  /diagnostics                       findings in the rules (?format=text)
  /sync                              where the rules come from and how fresh they are (?format=text)
  /explain?method=GET&url=URL        why a request goes where it goes (&header=NAME:VALUE, ?format=json,
                                     &direction=inbound of a service port)
  /program                           the routing world (?format=text|json|envoy)
  /v1/mesher/health                  health, as Mesher has it
  /v1/mesher/version                 version, as Mesher has it
  /v1/mesher/routeRule/SERVICE       routes of one service, as Mesher has it
`;

/** On an address of the network whoever gets here needs no rebinding, and names of the pod are legion. */
function hostAllowed(host: string, listen: string): boolean {
  const listenHost = listen.replace(/^\[|\]$/g, "");
  const isAddress = /^[\d.]+$|:/.test(listenHost);
  if (isAddress && !/^(127\.|::ffff:127\.|[0:]*:0*1$)/i.test(listenHost)) return true;
  const name = host.replace(/:\d*$/, "").toLowerCase();
  return name === "localhost" || name === listenHost.toLowerCase() || /^\[[0-9a-f:.]+\]$/.test(name) ||
    /^\d{1,3}(\.\d{1,3}){3}$/.test(name);
}

/** What decides about the service port that a URL names. */
function inboundWorld(target: string, inbound: InboundView | undefined): World | string {
  if (!URL.canParse(target)) return `Cannot explain "${target}": want http://ADDRESS:PORT/PATH`;
  const { port, protocol } = new URL(target);
  const number = Number(port || (protocol === "https:" ? 443 : 80));
  const found = inbound?.worldOf(number);
  if (found !== undefined) return found;
  const open = inbound?.status().map(({ address }) => address) ?? [];
  return `Cannot explain "${target}": port ${number} is no service port; want ` +
    (open.length === 0 ? "one (--service-ports)" : `one of ${open.join(", ")}`);
}

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: [string, string][];
}

function askedByQuery(url: URL): Asked | string {
  const target = url.searchParams.get("url");
  if (target === null) return "Cannot explain: want ?url=http://HOST:PORT/PATH";
  const headers: [string, string][] = [];
  for (const line of url.searchParams.getAll("header")) {
    const at = line.indexOf(":");
    if (at <= 0) return `Cannot read header "${line}": want NAME:VALUE`;
    headers.push([line.slice(0, at), line.slice(at + 1).trim()]);
  }
  return { method: url.searchParams.get("method") ?? "GET", url: target, headers };
}

async function askedByBody(request: Request): Promise<Asked | string> {
  const length = Number(request.headers.get("content-length") ?? NaN);
  if (!(length <= MAX_BODY_CHARS)) {
    return `Cannot read the body: want JSON of at most ${MAX_BODY_CHARS} bytes`;
  }
  let body: unknown;
  try {
    body = JSON.parse(await request.text());
  } catch {
    return "Cannot read the body: it is no JSON";
  }
  const { method = "GET", url, headers = [] } = (body ?? {}) as Record<string, unknown>;
  const sound = typeof method === "string" && typeof url === "string" && Array.isArray(headers) &&
    headers.every((h) => Array.isArray(h) && h.length === 2 && h.every((part) => typeof part === "string"));
  return sound
    ? { method, url, headers: headers as [string, string][] }
    : 'Cannot read the body: want {"method":"GET","url":"http://HOST/","headers":[["name","value"]]}';
}

/** How many of each severity. */
export function countBySeverity(list: readonly Diagnostic[]): Record<Diagnostic["severity"], number> {
  const counts = { error: 0, warning: 0, info: 0 };
  for (const d of list) counts[d.severity]++;
  return counts;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

function text(body: string, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(body, {
    status,
    headers: { ...HEADERS, "content-type": "text/plain; charset=utf-8", ...headers },
  });
}

/** Made as it is read, so that a large program holds nothing up and is never whole in memory. */
function streamed(pieces: Iterator<string>, after: string, contentType: string): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      let chunk = "";
      while (chunk.length < CHUNK_CHARS) {
        const next = pieces.next();
        if (next.done === true) {
          controller.enqueue(encoder.encode(after === "" ? chunk + "\n" : chunk));
          controller.close();
          return;
        }
        chunk += next.value + after;
      }
      controller.enqueue(encoder.encode(chunk));
    },
  }, { highWaterMark: 0 });
  return new Response(body, { headers: { ...HEADERS, "content-type": contentType } });
}

function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value, null, 2) + "\n", {
    status,
    headers: { ...HEADERS, "content-type": "application/json" },
  });
}

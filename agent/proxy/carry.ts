/**
 * A connection that speaks no HTTP and is led to one host:port, by the same rules as CONNECT: of a local port, or TLS on a listener.
 * Where a CONNECT is answered with an error, it is closed and its flags say why.
 */
import type { AcceptedStream } from "../core/ports.ts";
import { MeshError } from "../core/errors.ts";
import { MessageHead } from "../wire/http1/head.ts";
import type { ProxyContext } from "./context.ts";
import { l4Target, planOf } from "./destination.ts";
import { NO_BODY, type Responder } from "./engine.ts";
import { addressText, Exchange } from "./exchange.ts";
import { admit, type InboundPort } from "./inbound_port.ts";
import type { Input } from "./input.ts";
import { peekHello } from "./peek_hello.ts";
import { releaseUpstream } from "./rescue.ts";
import { checkLoop, checkSynced } from "./select.ts";
import { splice } from "./splice.ts";
import { openTcp } from "./tcp.ts";

export interface Carried {
  readonly input: Input;
  readonly stream: AcceptedStream;
}

/** Never rejects. With `knownOnly` nothing goes to a host that no rule knows. An empty host: the client did not name one. */
export async function carry(
  proxy: ProxyContext,
  client: Carried,
  host: string,
  port: number,
  knownOnly: boolean,
): Promise<void> {
  const { stream } = client;
  const ex = new Exchange(new MessageHead(0), NO_BODY, NO_ANSWER, stream.remote, stream.local);
  ex.startMs = proxy.clock.monotonic();
  ex.authority = host === "" ? "-" : addressText({ hostname: host, port });
  try {
    checkSynced(proxy, ex);
    if (proxy.inbound !== null) {
      await carryInbound(proxy, proxy.inbound, ex, client, knownOnly);
      return;
    }
    if (host === "") throw unknownHost(ex, "the client names no server");
    checkLoop(proxy, ex, host, port);
    const target = await l4Target(proxy, ex, host, port);
    const hello = target?.needsHello ? await peekHello(proxy, client) : undefined;
    const plan = planOf(proxy, ex, host, port, target, hello);
    if (knownOnly && plan.cluster === null) throw unknownHost(ex, "no rule knows it");
    const upstream = await openTcp(proxy, ex, host, port, plan);
    await splice(proxy, ex, client, upstream.tunnel(), plan);
  } catch (thrown) {
    if (thrown instanceof MeshError) {
      ex.addFlag(thrown.flag);
      if (ex.details === "") ex.details = thrown.code;
      proxy.log.log("debug", `connection to ${addressText(stream.local)}: ${thrown.message}`);
    } else if (thrown instanceof TypeError) {
      proxy.log.log("error", "a connection met a mistake in the agent", { error: thrown.stack });
    } else ex.addFlag("DC");
  } finally {
    stream.close();
    releaseUpstream(ex);
    record(proxy, ex);
  }
}

/** To the application, whatever the connection was meant for. */
async function carryInbound(
  proxy: ProxyContext,
  inbound: InboundPort,
  ex: Exchange,
  client: Carried,
  knownOnly: boolean,
): Promise<void> {
  admit(inbound, ex);
  if (knownOnly) throw unknownHost(ex, "the service port takes plain HTTP; its protocol tcp passes TLS on");
  const plan = {
    cluster: inbound.cluster,
    idleMs: proxy.config.proxy.timeouts.tunnelIdleMs,
    maxDurationMs: Infinity,
    connectAttempts: 1,
  };
  const upstream = await openTcp(proxy, ex, "", 0, plan);
  await splice(proxy, ex, client, upstream.tunnel(), plan);
}

function unknownHost(ex: Exchange, why: string): MeshError {
  ex.details = "filter_chain_not_found";
  return new MeshError(
    "P208",
    `Cannot forward TLS to "${ex.authority}": ${why}; wanted is a host of the mesh`,
  );
}

/** Says what Envoy's log says of TCP: no method, path or status. */
function record(proxy: ProxyContext, ex: Exchange): void {
  proxy.observer.request({
    startMs: ex.startMs + proxy.deadlines.wallOffset,
    method: "-",
    path: "-",
    protocol: "TCP",
    authority: ex.authority,
    status: 0,
    flags: ex.flags,
    details: ex.details,
    bytesReceived: ex.tunnelReceived,
    bytesSent: ex.tunnelSent,
    durationMs: proxy.clock.monotonic() - ex.startMs,
    upstreamServiceTimeMs: -1,
    forwardedFor: "",
    userAgent: "",
    requestId: "",
    upstreamCluster: ex.cluster,
    upstreamHost: ex.upstreamHost,
    routeName: ex.listener,
    virtualHost: "",
    downstreamRemote: ex.remoteText,
    attempts: ex.attempts,
    inbound: proxy.inbound === null ? undefined : true,
  });
}

/** Nothing is answered in TCP. */
const NO_ANSWER: Responder = {
  http11: true,
  begun: true,
  persistent: false,
  sent: 0,
  canTunnel: true,
  interim: () => Promise.resolve(),
  begin() {},
  data: () => Promise.resolve(),
  end: () => Promise.resolve(),
  abort() {},
  takeOver: () => null,
};

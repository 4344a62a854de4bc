/** Tunnels: CONNECT and accepted upgrades. Bytes both ways, half-closes passed on, until both sides are done. */
import { MeshError } from "../core/errors.ts";
import type { ProxyContext } from "./context.ts";
import { l4Target, planOf } from "./destination.ts";
import type { Exchange } from "./exchange.ts";
import { HOP_BY_HOP, type MessageHead } from "../wire/http1/head.ts";
import { copyLines } from "./fields.ts";
import { peekHello } from "./peek_hello.ts";
import { checkLoop, checkSynced } from "./select.ts";
import type { RequestHeadView } from "./request_view.ts";
import { splice } from "./splice.ts";
import type { Client } from "./engine.ts";
import { openTcp } from "./tcp.ts";
import type { Upstream } from "./upstream.ts";
import { acceptOf, WEBSOCKET } from "./websocket.ts";

/** CONNECT host:port. */
export async function connect(proxy: ProxyContext, ex: Exchange, view: RequestHeadView): Promise<void> {
  // A client may send the tunnel's bytes at once; when there is no tunnel they must not be taken for requests.
  ex.responder.persistent = false;
  checkSynced(proxy, ex);
  const { host, port } = view;
  checkLoop(proxy, ex, host, port);
  if (!ex.responder.canTunnel) {
    throw new MeshError(
      "P111",
      `Cannot tunnel to "${ex.authority}": the serve engine has no tunnels`,
    );
  }
  const target = await l4Target(proxy, ex, host, port);
  let client: Client | undefined;
  let hello;
  if (target?.needsHello) {
    // The client speaks only when the tunnel stands, so from here on a failure is a closed connection.
    client = await accept(proxy, ex);
    hello = await peekHello(proxy, client);
  }
  try {
    const plan = planOf(proxy, ex, host, port, target, hello);
    const upstream = await openTcp(proxy, ex, host, port, plan);
    client ??= await accept(proxy, ex);
    await splice(proxy, ex, client, upstream.tunnel(), plan);
  } finally {
    client?.stream.close();
  }
}

async function accept(proxy: ProxyContext, ex: Exchange): Promise<Client> {
  const out = ex.out = proxy.buffers.takeWriter();
  out.text("HTTP/1.1 200 Connection established\r\n\r\n");
  ex.status = 200;
  ex.responder.begin(out, 200, "tunnel");
  await ex.responder.end(null);
  return takeOver(ex);
}

function takeOver(ex: Exchange): Client {
  const client = ex.responder.takeOver();
  if (client === null) {
    throw new MeshError("P111", "Cannot tunnel: the engine does not give up its connection");
  }
  return client;
}

/** 101 from the upstream: the rest of both connections is not ours to read. */
export async function upgraded(
  proxy: ProxyContext,
  ex: Exchange,
  connection: Upstream,
): Promise<void> {
  const { head } = connection;
  const out = ex.out!;
  // In HTTP/2 a success says it, without the fields of the connection (RFC 8441 section 5).
  ex.status = ex.http2 ? 200 : 101;
  ex.details = "via_upstream";
  const key = ex.webSocketKey;
  const accept = key !== "" && ex.http2 ? await checkAccept(ex, head) : -1;
  // Between clients and servers of HTTP/2 there is no such proof; a client of HTTP/1.1 waits for one.
  const proof = key !== "" && !ex.http2 && head.value("sec-websocket-accept") === undefined
    ? await acceptOf(key)
    : "";
  out.clear();
  out.text(ex.http2 ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 101 Switching Protocols\r\n");
  copyLines(head, out, HOP_BY_HOP, accept);
  if (!ex.http2) {
    if (ex.upstreamHttp2) out.line("Upgrade", WEBSOCKET);
    else if (head.upgradeIndex >= 0) out.line("Upgrade", head.valueAt(head.upgradeIndex));
    if (proof !== "") out.line("Sec-WebSocket-Accept", proof);
    out.text("Connection: Upgrade\r\n");
  }
  out.text("\r\n");
  ex.responder.persistent = false;
  ex.responder.begin(out, ex.status, "tunnel");
  await ex.responder.end(null);
  const { tunnelIdleMs } = proxy.config.proxy.timeouts;
  await splice(proxy, ex, takeOver(ex), connection.tunnel(), {
    idleMs: tunnelIdleMs,
    maxDurationMs: Infinity,
  });
}

/** Of an upstream that got a key of the agent's own: its proof, which the client did not ask for (RFC 6455 section 4.1). */
async function checkAccept(ex: Exchange, head: MessageHead): Promise<number> {
  const wanted = await acceptOf(ex.webSocketKey);
  for (let i = 0; i < head.count; i++) {
    if (head.nameAt(i).toLowerCase() !== "sec-websocket-accept") continue;
    if (head.valueAt(i) === wanted) return i;
    break;
  }
  throw new MeshError(
    "P306",
    `Cannot read the answer of ${ex.upstreamHost}: it switches to WebSocket without the proof that it read the key`,
    { side: "upstream" },
  );
}

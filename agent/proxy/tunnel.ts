/** Tunnels: CONNECT and accepted upgrades. Bytes both ways, half-closes passed on, until both sides are done. */
import type { ByteStream } from "../core/ports.ts";
import { MeshError } from "../core/errors.ts";
import { clusterName } from "../model/model.ts";
import type { ProxyContext } from "./context.ts";
import type { Expirable } from "./deadlines.ts";
import type { Exchange } from "./exchange.ts";
import type { Input } from "./input.ts";
import { HOP_BY_HOP } from "../wire/http1/head.ts";
import { copyLines } from "./fields.ts";
import { pick, target } from "./pick.ts";
import { checkLoop, checkPolicy, checkSynced, unknownPort } from "./select.ts";
import type { RequestHeadView } from "./request_view.ts";
import { UpstreamConnection } from "./upstream.ts";
import { writeAll } from "./write_all.ts";

/** CONNECT host:port. */
export async function connect(proxy: ProxyContext, ex: Exchange, view: RequestHeadView): Promise<void> {
  // A client may send the tunnel's bytes at once; when there is no tunnel they must not be taken for requests.
  ex.responder.persistent = false;
  checkSynced(proxy, ex);
  checkLoop(proxy, ex, view.host, view.port);
  if (!ex.responder.canTunnel) {
    throw new MeshError("P111", `Cannot tunnel to "${ex.authority}": the serve engine has no tunnels`);
  }
  const cluster = connectCluster(proxy, ex, view);
  if (cluster === null) checkPolicy(proxy, ex, view.host, view.port);
  const to = await target(proxy, ex, view, cluster);
  const endpoint = pick(proxy, ex, to, []);
  ex.upstreamHost = endpoint.key;
  const startMs = proxy.clock.monotonic();
  const limit = to.addresses === null ? to.handle.connectTimeoutMs : proxy.config.proxy.timeouts.connectMs;
  let stream;
  try {
    stream = await proxy.dialer.dial({ hostname: endpoint.address, port: endpoint.port }, limit);
  } catch (cause) {
    ex.attempts.push({
      endpoint: endpoint.key,
      outcome: "connect-failure",
      durationMs: proxy.clock.monotonic() - startMs,
    });
    const late = cause instanceof MeshError && cause.code === "P304";
    throw new MeshError(
      late ? "P304" : "P303",
      `Cannot open a tunnel to ${endpoint.key}: it ${
        late ? `did not accept a connection within ${limit} ms` : "refused the connection"
      }`,
      { side: "upstream", cause },
    );
  }
  ex.attempts.push({ endpoint: endpoint.key, outcome: "ok", durationMs: proxy.clock.monotonic() - startMs });
  const connection = new UpstreamConnection(proxy, endpoint, stream);
  endpoint.active++;
  ex.upstream = connection;
  const out = ex.out = proxy.buffers.takeWriter();
  out.text("HTTP/1.1 200 Connection established\r\n\r\n");
  ex.status = 200;
  ex.responder.begin(out, 200, "none");
  await ex.responder.end(null);
  await splice(proxy, ex, connection);
}

/** Which cluster's endpoints a CONNECT goes to; null for a host that no rule knows. */
function connectCluster(proxy: ProxyContext, ex: Exchange, view: RequestHeadView): string | null {
  const { program, tables } = ex.world!;
  const { host, port } = view;
  const has = (name: string): string | null => program.clusters.has(name) ? name : null;
  const virtualHost = tables.findVirtualHost(host, port);
  if (virtualHost !== undefined) {
    // A virtual host is named host:port after the service that it stands for.
    const name = virtualHost.source.name;
    // xDS v1 names it and its cluster after the service key.
    const found = has(clusterName(port, "", name.slice(0, name.lastIndexOf(":")))) ?? has(`out.${name}`);
    if (found !== null) {
      ex.virtualHost = virtualHost;
      return found;
    }
  }
  const domain = `${proxy.config.workload.namespace}.svc.cluster.local`;
  const spellings = [host, `${host}.${domain}`, `${host}.svc.cluster.local`, `${host}.cluster.local`];
  for (const spelling of spellings) {
    const found = has(clusterName(port, "", spelling));
    if (found !== null) return found;
  }
  for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
    const found = has(clusterName(port, "", `*${host.slice(dot)}`));
    if (found !== null) return found;
  }
  const ports = tables.portsOf(host);
  if (ports.length > 0 && !ports.includes(port)) throw unknownPort(host, port, ports, ex);
  return null;
}

/** 101 from the upstream: the rest of both connections is not ours to read. */
export async function upgraded(
  proxy: ProxyContext,
  ex: Exchange,
  connection: UpstreamConnection,
): Promise<void> {
  const { head } = connection;
  const out = ex.out!;
  ex.status = 101;
  ex.details = "via_upstream";
  out.clear();
  out.text("HTTP/1.1 ");
  out.span(head.buf, head.start + 9, head.reasonEnd);
  out.text("\r\n");
  copyLines(head, out, HOP_BY_HOP, -1);
  if (head.upgradeIndex >= 0) out.line("Upgrade", head.valueAt(head.upgradeIndex));
  out.text("Connection: Upgrade\r\n\r\n");
  ex.responder.persistent = false;
  ex.responder.begin(out, 101, "none");
  await ex.responder.end(null);
  await splice(proxy, ex, connection);
}

async function splice(proxy: ProxyContext, ex: Exchange, connection: UpstreamConnection): Promise<void> {
  const client = ex.responder.takeOver();
  if (client === null) {
    throw new MeshError("P111", "Cannot tunnel: the engine does not give up its connection");
  }
  // The end of what the client sends is no longer its going away.
  ex.onCancel = null;
  connection.deadline = Infinity;
  connection.routeDeadline = Infinity;
  const { tunnelIdleMs } = proxy.config.proxy.timeouts;
  const watch: Expirable & { close(): void } = {
    deadline: proxy.deadlines.now + tunnelIdleMs,
    slot: -1,
    expire() {
      ex.addFlag("SI");
      this.close();
    },
    close() {
      client.stream.close();
      connection.close();
    },
  };
  const touch = (): void => {
    watch.deadline = proxy.deadlines.now + tunnelIdleMs;
  };
  proxy.deadlines.add(watch);
  proxy.tunnels.add(watch);
  try {
    await Promise.all([
      copy(client.input, connection.stream, (n) => {
        ex.tunnelReceived += n;
        touch();
      }).catch(() => watch.close()),
      copy(connection.input, client.stream, (n) => {
        ex.tunnelSent += n;
        touch();
      }).catch(() => watch.close()),
    ]);
  } finally {
    proxy.tunnels.delete(watch);
    proxy.deadlines.remove(watch);
    watch.close();
  }
}

/** One direction, until the end of input, which is passed on as a half-close. */
async function copy(from: Input, to: ByteStream, moved: (bytes: number) => void): Promise<void> {
  for (;;) {
    const n = from.available;
    if (n > 0) {
      await writeAll(to, from.buf.subarray(from.start, from.end));
      const full = from.end === from.buf.length;
      from.start = from.end;
      moved(n);
      // A read that filled the buffer promises more to come.
      if (full) from.enlarge();
    }
    if (!(await from.fill())) break;
  }
  from.shrink();
  await to.closeWrite();
}

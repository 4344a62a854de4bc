/** TLS on a listener without a CONNECT before it: the ClientHello names the server, rules say where that is. */
import { peekHello } from "./peek_hello.ts";
import { type Carried, carry } from "./carry.ts";
import type { ProxyContext } from "./context.ts";

const HTTPS_PORT = 443;

/** Never rejects. The port is not told: 443, or the only one of a host that has no 443. */
export async function passTls(proxy: ProxyContext, client: Carried): Promise<void> {
  let host = "";
  try {
    host = (await peekHello(proxy, client))?.serverName ?? "";
  } catch {
    // The client is gone.
  }
  const ports = host === "" ? [] : proxy.world.current.tables.portsOf(host);
  const port = ports.length === 1 ? ports[0]! : HTTPS_PORT;
  await carry(proxy, client, host, port, true);
}

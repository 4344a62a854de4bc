/** Waits for the first bytes of a client and reads its TLS hello without using them up. */
import {
  type ClientHello,
  MAX_HELLO_WIRE_BYTES,
  NEED_MORE,
  NOT_TLS,
  readClientHello,
} from "../wire/tls/client_hello.ts";
import type { ProxyContext } from "./context.ts";
import type { Expirable } from "./deadlines.ts";
import type { Client } from "./engine.ts";

/**
 * Undefined for what is no TLS, ends first, or takes longer than a request head may: it is forwarded as any other connection.
 * Bytes that arrive after that are still there: the read that is under way is the next one's.
 */
export async function peekHello(proxy: ProxyContext, { input }: Client): Promise<ClientHello | undefined> {
  let tooLate: () => void = () => {};
  const late = new Promise<"late">((resolve) => tooLate = () => resolve("late"));
  const watch: Expirable = { deadline: Infinity, slot: -1, expire: tooLate };
  proxy.deadlines.add(watch);
  proxy.deadlines.arm(watch, proxy.clock.monotonic() + proxy.config.proxy.timeouts.headMs);
  try {
    for (;;) {
      const hello = input.available === 0 ? NEED_MORE : readClientHello(input.buf, input.start, input.end);
      if (hello === NOT_TLS) return undefined;
      if (hello !== NEED_MORE) return hello;
      if (input.available > MAX_HELLO_WIRE_BYTES) return undefined;
      const n = await Promise.race([input.ahead(), late]);
      if (n === "late") return undefined;
      if (!input.took(n)) return undefined;
    }
  } finally {
    proxy.deadlines.remove(watch);
  }
}

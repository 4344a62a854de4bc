/** 1xx answers on their way to the client. */
import type { MessageHead } from "../wire/http1/head.ts";
import type { ProxyContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { copyLines, HOP_BY_HOP_AND_LENGTH } from "./fields.ts";

/** Passes an interim answer on. 100 stays here: the engine sends its own when the body is asked for. */
export async function interim(proxy: ProxyContext, ex: Exchange, head: MessageHead): Promise<void> {
  if (head.status === 100 || !ex.responder.http11) return;
  const out = proxy.buffers.takeWriter();
  out.text("HTTP/1.1 ");
  out.span(head.buf, head.start + 9, head.reasonEnd);
  out.text("\r\n");
  // A length there would be taken for a body that never comes (RFC 9110 section 8.6).
  copyLines(head, out, HOP_BY_HOP_AND_LENGTH, -1);
  out.text("\r\n");
  await ex.responder.interim(out);
  proxy.buffers.giveWriter(out);
}

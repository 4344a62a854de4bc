/**
 * A small HTTP/1.1 client of the command line's own: for asking an agent's admin port and for the demo's requests. It goes
 * straight to the given address, because `fetch` would go through http_proxy, which here is the agent itself.
 */
import { Buffer } from "node:buffer";
import type { StreamAddress } from "../core/ports.ts";

export interface ClientResponse {
  readonly status: number;
  readonly body: string;
  /** The server's clock when it answered (RFC 9110, section 6.6.1), as it is written. */
  readonly date?: string;
}

export interface ClientConnection {
  /** One request; `target` is a path or an absolute URL. The body is JSON when given. */
  send(
    method: string,
    target: string,
    headers?: readonly (readonly [string, string])[],
    body?: string,
  ): Promise<ClientResponse>;
  close(): void;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Rejects when nobody listens there. Requests on one connection go one after the other. */
export async function connectClient(address: StreamAddress): Promise<ClientConnection> {
  const connection = await Deno.connect({ hostname: address.hostname, port: address.port });
  connection.setNoDelay(true);
  let data = new Uint8Array(0);
  const chunk = new Uint8Array(64 * 1024);

  const more = async (): Promise<boolean> => {
    const n = await connection.read(chunk);
    if (n === null) return false;
    const joined = new Uint8Array(data.length + n);
    joined.set(data);
    joined.set(chunk.subarray(0, n), data.length);
    data = joined;
    return true;
  };

  const response = async (): Promise<ClientResponse> => {
    let end: number;
    while ((end = Buffer.from(data.buffer, 0, data.length).indexOf("\r\n\r\n")) < 0) {
      if (!await more()) throw new Error("the connection was closed before an answer");
    }
    const head = decoder.decode(data.subarray(0, end));
    data = data.subarray(end + 4);
    data = Uint8Array.from(data);
    const status = Number(head.slice(9, 12));
    if (status < 200) return await response();
    const length = /^content-length:\s*(\d+)/im.exec(head)?.[1];
    const date = /^date:\s*(.+)$/im.exec(head)?.[1];
    const answer = (body: string) => ({ status, body, ...(date === undefined ? {} : { date }) });
    if (/^transfer-encoding:/im.test(head)) return answer(await chunked());
    if (length === undefined && status !== 204 && status !== 304) {
      while (await more());
      return answer(decoder.decode(take(data.length)));
    }
    return answer(decoder.decode(await exactly(Number(length ?? 0))));
  };

  const take = (n: number): Uint8Array => {
    const taken = data.slice(0, n);
    data = data.slice(n);
    return taken;
  };

  const exactly = async (n: number): Promise<Uint8Array> => {
    while (data.length < n) if (!await more()) throw new Error("the connection was closed inside an answer");
    return take(n);
  };

  const chunked = async (): Promise<string> => {
    let body = "";
    const piecewise = new TextDecoder();
    for (;;) {
      let end: number;
      while ((end = Buffer.from(data.buffer, 0, data.length).indexOf("\r\n")) < 0) {
        if (!await more()) throw new Error("the connection was closed inside an answer");
      }
      const size = parseInt(decoder.decode(take(end)), 16);
      take(2);
      const piece = await exactly(size + 2);
      if (size === 0) return body;
      body += piecewise.decode(piece.subarray(0, size), { stream: true });
    }
  };

  return {
    async send(method, target, headers = [], body) {
      const host = /^\w+:\/\/([^/?#]*)/.exec(target)?.[1] ?? hostText(address);
      const lines = [
        `${method} ${target} HTTP/1.1`,
        `host: ${host}`,
        ...headers.map(([k, v]) => `${k}: ${v}`),
      ];
      const bytes = body === undefined ? undefined : encoder.encode(body);
      if (bytes !== undefined) {
        lines.push("content-type: application/json", `content-length: ${bytes.length}`);
      }
      const message = encoder.encode(`${lines.join("\r\n")}\r\n\r\n${body ?? ""}`);
      for (let at = 0; at < message.length;) at += await connection.write(message.subarray(at));
      return await response();
    },
    close: () => connection.close(),
  };
}

function hostText({ hostname, port }: StreamAddress): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

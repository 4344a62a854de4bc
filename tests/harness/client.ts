/** A raw HTTP/1.1 client: sends exactly the bytes it is given and shows exactly the bytes that come back. */
import { bytesOf, closeQuietly, within, writeAll } from "./bytes.ts";
import { WireReader, type WireResponse } from "./wire_reader.ts";

export interface Address {
  readonly hostname: string;
  readonly port: number;
}

/** One connection to the agent. Dispose or close it. */
export class RawClient implements Disposable {
  readonly reader: WireReader;
  readonly conn: Deno.TcpConn;

  private constructor(conn: Deno.TcpConn) {
    this.conn = conn;
    this.reader = new WireReader(conn);
  }

  static async connect(address: Address): Promise<RawClient> {
    const conn = await Deno.connect(address);
    conn.setNoDelay(true);
    return new RawClient(conn);
  }

  /** Latin1 text, as it is; false when the agent is gone. */
  async send(text: string): Promise<boolean> {
    return await writeAll(this.conn, bytesOf(text));
  }

  /** Ends our direction. */
  async end(): Promise<void> {
    await this.conn.closeWrite().catch(() => {});
  }

  /** The next final response; rejects when the agent closes before one. */
  async response(to = "GET", ms = 10_000): Promise<WireResponse> {
    const response = await within(this.reader.response(to), "a response", ms);
    if (response === undefined) {
      throw new Error(
        `Cannot read a response: the agent closed after ${JSON.stringify(this.reader.pending)}`,
      );
    }
    return response;
  }

  /** Sends a request and reads its answer. */
  async ask(text: string, ms = 10_000): Promise<WireResponse> {
    await this.send(text);
    return await this.response(/^[A-Z]+/.exec(text)?.[0], ms);
  }

  /** Everything until the agent closes. */
  async toEnd(ms = 10_000): Promise<string> {
    return await within(this.reader.toEnd(), "the end of the connection", ms);
  }

  close(): void {
    closeQuietly(this.conn);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** One request on a connection of its own. */
export async function askOnce(address: Address, text: string, ms = 10_000): Promise<WireResponse> {
  using client = await RawClient.connect(address);
  return await client.ask(text, ms);
}

/** `GET http://HOST/PATH` as an application with http_proxy set sends it. */
export function proxyGet(authority: string, path = "/", headers = ""): string {
  return `GET http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\n${headers}\r\n`;
}

/** Asking a running agent at its admin address. */
import { MeshError } from "../core/errors.ts";
import type { StreamAddress } from "../core/ports.ts";
import { parseAddress } from "./args.ts";
import { type ClientResponse, connectClient } from "./http_client.ts";

const DEFAULT_ADMIN = "127.0.0.1:30102";

/** The address of `--admin`, or a sentence when it is none. */
export function adminAddress(text = DEFAULT_ADMIN): StreamAddress | string {
  return parseAddress(text.replace(/^http:\/\/|\/$/g, "")) ??
    `Cannot read --admin "${text}": want ADDR:PORT, such as ${DEFAULT_ADMIN}`;
}

/** Throws MeshError N108 when nobody listens there. A body makes it a POST. */
export async function askAgent(
  address: StreamAddress,
  target: string,
  body?: string,
): Promise<ClientResponse> {
  let connection;
  try {
    connection = await connectClient(address);
  } catch (error) {
    const { hostname, port } = address;
    const shown = hostname.includes(":") ? `[${hostname}]` : hostname;
    throw new MeshError("N108", `Cannot ask the agent at "${shown}:${port}": nobody listens there`, {
      cause: error,
    });
  }
  try {
    return await connection.send(
      body === undefined ? "GET" : "POST",
      target,
      [["connection", "close"]],
      body,
    );
  } finally {
    connection.close();
  }
}

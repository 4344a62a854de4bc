/** The handshake of WebSocket over HTTP/1.1 (RFC 6455 section 4), which clients of HTTP/2 do not make (RFC 8441 section 5). */
import type { Rng } from "../core/ports.ts";

/** Token of Upgrade and :protocol. */
export const WEBSOCKET = "websocket";
const KEY_BYTES = 16;
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

export function isWebSocket(protocol: string): boolean {
  return protocol.toLowerCase() === WEBSOCKET;
}

/** For Sec-WebSocket-Key. */
export function newKey(rng: Rng): string {
  return base64(Uint8Array.from({ length: KEY_BYTES }, () => Math.floor(rng() * 256)));
}

/** What Sec-WebSocket-Accept says to a key. */
export async function acceptOf(key: string): Promise<string> {
  return base64(new Uint8Array(await crypto.subtle.digest("SHA-1", new TextEncoder().encode(key + GUID))));
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

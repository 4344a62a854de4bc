import type { ByteStream } from "./ports.ts";

/** Writes every byte; one call of the stream when it takes them all, which is the rule. */
export async function writeAll(stream: Pick<ByteStream, "write">, bytes: Uint8Array): Promise<void> {
  let sent = await stream.write(bytes);
  while (sent < bytes.length) sent += await stream.write(bytes.subarray(sent));
}

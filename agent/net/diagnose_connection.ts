/**
 * What is it that listens there? Asked after a connection failed without a reason: an HTTP/2 client reports a server that speaks
 * something else as "connection dropped". One extra connection each, bounded by the signal, nothing is sent but a greeting.
 */
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type PeerCertificate, type TLSSocket } from "node:tls";
import { type Failure, quoted } from "./connect_error.ts";

/** HTTP/2 connection preface and empty SETTINGS (RFC 9113, 3.4). */
const GREETING = new Uint8Array([
  ...new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  ...[0, 0, 0, 4, 0, 0, 0, 0, 0],
]);

/** How much later than the end of a connection its reason may be noticed, ms. */
const ALERT_GRACE_MS = 50;

/** Why a plaintext HTTP/2 connection to `address` does not come about; undefined when it would. */
export async function diagnosePlaintext(
  address: string,
  port: number,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  const answer = await greet(address, port, signal);
  if (answer === "h2") return undefined;
  const wanted = "want a plaintext gRPC port (15010)";
  const tls = await certificateOf(address, port, signal);
  if (tls !== undefined) {
    return {
      code: "D205",
      state: "it speaks TLS",
      wanted: "want grpcs:// for a TLS port",
    };
  }
  if (answer.startsWith("HTTP/1.")) {
    return {
      code: "D205",
      state: `it speaks HTTP/1.1 (${quoted(answer.split("\r\n", 1)[0] as string)})`,
      wanted,
    };
  }
  if (answer === "") return { code: "D205", state: "it accepts connections and closes them", wanted };
  return { code: "D205", state: "it answers something that is not HTTP/2", wanted };
}

/** `h2`, or the first bytes as text; empty when it closes without any. */
async function greet(address: string, port: number, signal: AbortSignal): Promise<string> {
  try {
    using conn = await Deno.connect({ hostname: address, port, signal });
    const stop = () => conn.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      await conn.write(GREETING);
      const bytes = new Uint8Array(512);
      const n = await conn.read(bytes) ?? 0;
      // A SETTINGS frame on stream 0 opens every HTTP/2 connection.
      if (n >= 9 && bytes[3] === 4 && bytes[5] === 0 && bytes[8] === 0) return "h2";
      return new TextDecoder("latin1").decode(bytes.subarray(0, n));
    } finally {
      signal.removeEventListener("abort", stop);
    }
  } catch {
    return "";
  }
}

/**
 * Why a server ends a connection right after TLS stood; undefined when it does not, or does not say. In TLS 1.3 it looks at the
 * client's certificate only then, and its alert gets lost when the client is writing.
 */
export function diagnoseAfterTls(
  address: string,
  port: number,
  secure: (socket: Socket) => Promise<Socket>,
  signal: AbortSignal,
): Promise<Error | undefined> {
  const { promise, resolve } = Promise.withResolvers<Error | undefined>();
  const socket = connectTcp({ host: address, port });
  let secured: Socket | undefined;
  let grace: ReturnType<typeof setTimeout> | undefined;
  let over = false;
  const end = (error?: Error) => {
    over = true;
    resolve(error);
    clearTimeout(grace);
    signal.removeEventListener("abort", stop);
    secured?.destroy();
    socket.destroy();
  };
  const stop = () => end();
  // The end of the connection can be noticed before the alert that came with it.
  const ended = () => {
    if (!over) grace ??= setTimeout(stop, ALERT_GRACE_MS);
  };
  socket.on("error", end);
  socket.on("close", ended);
  socket.on("connect", () => {
    secure(socket).then((stream) => {
      secured = stream;
      if (over) return void stream.destroy();
      // Or the alert before anyone was told that the handshake is over.
      if (stream.errored !== null) return end(stream.errored);
      stream.on("error", end);
      stream.on("end", ended);
      stream.on("data", stop);
    }, end);
  });
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  return promise;
}

/** The certificate that a TLS server shows, unchecked; undefined when it is no TLS server. */
export function certificateOf(
  address: string,
  port: number,
  signal: AbortSignal,
  serverName?: string,
): Promise<PeerCertificate | undefined> {
  const { promise, resolve } = Promise.withResolvers<PeerCertificate | undefined>();
  const socket = connectTcp({ host: address, port });
  let secured: TLSSocket | undefined;
  const end = (certificate?: PeerCertificate) => {
    resolve(certificate);
    signal.removeEventListener("abort", stop);
    secured?.destroy();
    socket.destroy();
  };
  const stop = () => end();
  socket.on("error", stop);
  socket.on("close", stop);
  socket.on("connect", () => {
    secured = connectTls({
      socket,
      // Only looked at: nothing is sent over this connection and nothing is believed.
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
      ...(serverName === undefined || isIP(serverName) !== 0 ? {} : { servername: serverName }),
    }, () => end(secured?.getPeerCertificate()));
    secured.on("error", stop);
    secured.on("close", stop);
  });
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  return promise;
}

/** Why a certificate that does not chain to the root was refused, when its dates tell. */
export function validityFailure(certificate: PeerCertificate, nowMs: number): Failure | undefined {
  const hint = "Let the control plane renew its certificate, and check the clocks of both machines.";
  const wanted = "want one that is valid now";
  if (nowMs > Date.parse(certificate.valid_to)) {
    return { code: "D203", state: `its certificate expired at ${certificate.valid_to}`, wanted, hint };
  }
  if (nowMs < Date.parse(certificate.valid_from)) {
    return {
      code: "D203",
      state: `its certificate is not valid before ${certificate.valid_from}`,
      wanted,
      hint,
    };
  }
  return undefined;
}

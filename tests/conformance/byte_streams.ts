/** The kinds of ByteStream (core/ports.ts), each as connected pairs over loopback. */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createSecureContext, TLSSocket } from "node:tls";
import type { AcceptedStream } from "../../agent/core/ports.ts";
import { createDialer } from "../../agent/net/dial.ts";
import { listenTcp } from "../../agent/net/listen.ts";
import { ReadGate } from "../../agent/net/read_gate.ts";
import { secureSocket } from "../../agent/net/tls_connect.ts";
import { secureStream } from "../../agent/net/tls_stream.ts";
import { makeCertificate } from "../harness/certificate.ts";

export interface StreamPair {
  /** Connected. */
  readonly near: AcceptedStream;
  /** Accepted. */
  readonly far: AcceptedStream;
}

export interface StreamKind extends AsyncDisposable {
  pair(): Promise<StreamPair>;
}

export const STREAM_KINDS: Readonly<Record<string, () => Promise<StreamKind>>> = {
  "Deno.Conn": () => Promise.resolve(tcpKind(null)),
  "Deno.Conn behind the read gate": async () => tcpKind(await ReadGate.open()),
  "node:tls": tlsKind,
};

function tcpKind(gate: ReadGate | null): StreamKind {
  const listener = listenTcp({ hostname: "127.0.0.1", port: 0 }, gate);
  const dialer = createDialer(gate);
  return {
    async pair() {
      const [near, far] = await Promise.all([dialer.dial(listener.address, 5000), listener.accept()]);
      return { near, far: far! };
    },
    [Symbol.asyncDispose]() {
      listener.close();
      gate?.close();
      return Promise.resolve();
    },
  };
}

/** Certificates on both sides. */
async function tlsKind(): Promise<StreamKind> {
  const name = "far.example";
  const root = await makeCertificate("root", { authority: true });
  const far = await makeCertificate(name, { issuer: root });
  const near = await makeCertificate("near.example", { issuer: root });
  const material = { ca: [root.cert], cert: near.cert, key: near.key };
  const accepting = {
    isServer: true,
    secureContext: createSecureContext({ cert: far.cert, key: far.key, ca: root.cert }),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ["h2"],
    allowHalfOpen: true,
  };
  const accept = (wire: Duplex): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const socket = new TLSSocket(wire as Socket, accepting);
      socket.on("error", reject);
      socket.on("secure", () => resolve(socket));
    });
  const tcp = tcpKind(null);
  return {
    async pair() {
      const below = await tcp.pair();
      const [near, far] = await Promise.all([
        secureStream(below.near, (wire) => secureSocket(wire, material, "127.0.0.1", name)),
        secureStream(below.far, accept),
      ]);
      return { near, far };
    },
    [Symbol.asyncDispose]: () => tcp[Symbol.asyncDispose](),
  };
}

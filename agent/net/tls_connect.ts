/**
 * TLS to a control plane over a connected socket: the certificate must chain to the mesh's root and carry the expected name, HTTP/2
 * is asked for, and the error says what was not so.
 */
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { checkServerIdentity, connect, type PeerCertificate, type TLSSocket } from "node:tls";
import { type Failure, quoted } from "./connect_error.ts";
import type { TlsMaterial } from "./tls_files.ts";
import { broken, chainRefusal, refusalOf, TlsRefusal } from "./tls_refusal.ts";

/**
 * Rejects with a {@link TlsRefusal}. `name` is what the certificate must carry: a DNS name, an IP address, or a SPIFFE id
 * (certificates of Pilot before 1.4 have nothing else). `host` goes out as SNI.
 */
export function secureSocket(
  socket: Duplex,
  material: TlsMaterial,
  host: string,
  name: string,
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const named = name.startsWith("spiffe://") ? host : name;
  let mismatch: Failure | undefined;
  const secured: TLSSocket = connect({
    socket,
    ca: [...material.ca],
    ...(material.cert === undefined ? {} : { cert: material.cert, key: material.key as string }),
    ...(isIP(named) === 0 ? { servername: named } : { host: named }),
    ALPNProtocols: ["h2"],
    minVersion: "TLSv1.2",
    // Explicit, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch it off.
    rejectUnauthorized: true,
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => {
      if (carries(certificate, name)) return undefined;
      mismatch = nameFailure(certificate, name);
      return new Error(mismatch.state);
    },
  }, () => {
    // `false` without ALPN: an old server that speaks HTTP/2 all the same.
    if (secured.authorized) return resolve(secured);
    reject(
      mismatch === undefined
        ? chainRefusal(String(secured.authorizationError))
        : new TlsRefusal(mismatch, "name"),
    );
    secured.destroy();
  });
  secured.on("error", (error: Error) => {
    reject(mismatch === undefined ? refusalOf(error) : new TlsRefusal(mismatch, "name"));
  });
  secured.on("close", () => reject(new TlsRefusal(broken("the connection was closed"), "broken")));
  return promise;
}

function carries(certificate: PeerCertificate, name: string): boolean {
  if (!name.startsWith("spiffe://")) return checkServerIdentity(name, certificate) === undefined;
  return namesOf(certificate).includes(`URI:${name}`);
}

function namesOf(certificate: PeerCertificate): string[] {
  return certificate.subjectaltname?.split(", ") ?? [];
}

function nameFailure(certificate: PeerCertificate, name: string): Failure {
  const names = namesOf(certificate).map((n) => n.replace(/^(DNS|URI|IP Address):/, ""));
  const shown = names.slice(0, 10).map((n) => `"${quoted(n)}"`).join(", ");
  return {
    code: "D203",
    state: `its certificate is made out for ${shown === "" ? "no name" : shown}`,
    wanted: `want "${name}"`,
    hint: "Set discovery.serverName to the name in the certificate, or correct the host in the address.",
  };
}

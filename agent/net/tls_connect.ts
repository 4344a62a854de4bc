/**
 * TLS to a control plane over a connected socket: the certificate must chain to the mesh's root and carry the expected name, HTTP/2
 * is asked for, and the error says what was not so.
 */
import type { Socket } from "node:net";
import { isIP } from "node:net";
import { checkServerIdentity, connect, type PeerCertificate, type TLSSocket } from "node:tls";
import { type Failure, quoted } from "./connect_error.ts";
import type { TlsMaterial } from "./tls_files.ts";

/** Thrown by {@link secureSocket}. */
export class TlsRefusal extends Error {
  constructor(readonly failure: Failure, readonly kind: "name" | "chain" | "not TLS" | "refused" | "broken") {
    super(failure.state);
  }
}

/**
 * `name` is what the certificate must carry: a DNS name, an IP address, or a SPIFFE id (certificates of Pilot before 1.4 have
 * nothing else). `host` goes out as SNI.
 */
export function secureSocket(
  socket: Socket,
  material: TlsMaterial,
  host: string,
  name: string,
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
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

const HANDSHAKE = "the TLS handshake failed";

function broken(what: string): Failure {
  return { code: "D203", state: `${HANDSHAKE}: ${what}`, wanted: "want a TLS server there" };
}

function chainRefusal(text: string): TlsRefusal {
  return new TlsRefusal({
    code: "D203",
    state: `its certificate does not chain to the root certificate (${quoted(text)})`,
    wanted: "want one that was issued by the mesh's root",
    hint:
      "Put the root of this mesh (configmap istio-ca-root-cert) into root-cert.pem of discovery.certDirectory.",
  }, "chain");
}

/** What node:tls says, in the codes of Deno 2.9. */
export function refusalOf(error: Error & { code?: string }): TlsRefusal {
  const { code = "", message } = error;
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || /InvalidContentType|wrong version number/i.test(message)) {
    return new TlsRefusal({
      code: "D205",
      state: "it does not speak TLS",
      wanted: "want a TLS port (15012), or grpc:// for a plaintext one",
      cause: error,
    }, "not TLS");
  }
  if (/SELF_SIGNED|UNABLE_TO|CERT_|ISSUER/.test(code)) return chainRefusal(message);
  if (isAlert(error)) {
    return new TlsRefusal(alertFailure(/alert:? ?([A-Za-z ]+)/i.exec(message)?.[1] ?? code), "refused");
  }
  return new TlsRefusal({ ...broken(quoted(message)), cause: error }, "broken");
}

/** The server said why it broke off, other than a reset or an end of the connection. */
export function isAlert(error: (Error & { code?: string }) | undefined): error is Error {
  return error !== undefined && /alert/i.test(`${error.message} ${error.code ?? ""}`);
}

/** The server broke off with a TLS alert (RFC 8446, 6.2): about our certificate, or about what we offered. */
function alertFailure(alert: string): Failure {
  const words = quoted(alert);
  if (/required/i.test(words)) {
    return {
      code: "D203",
      state: "it wants a client certificate",
      hint: "Mount cert-chain.pem and key.pem where discovery.certDirectory says.",
    };
  }
  if (/certificate|unknown ?ca|access ?denied/i.test(words)) {
    return {
      code: "D203",
      state: `it refuses the client certificate (${words})`,
      wanted: "want one of its mesh",
    };
  }
  return { code: "D203", state: `${HANDSHAKE} (${words})`, wanted: "want TLS 1.2 or newer on both sides" };
}

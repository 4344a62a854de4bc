/** Why a TLS handshake with a control plane did not come about, out of what node:tls says (in the codes of Deno 2.9). */
import { type Failure, quoted } from "./connect_error.ts";

export class TlsRefusal extends Error {
  constructor(readonly failure: Failure, readonly kind: "name" | "chain" | "not TLS" | "refused" | "broken") {
    super(failure.state);
  }
}

const HANDSHAKE = "the TLS handshake failed";

export function broken(what: string): Failure {
  return { code: "D203", state: `${HANDSHAKE}: ${what}`, wanted: "want a TLS server there" };
}

export function chainRefusal(text: string): TlsRefusal {
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

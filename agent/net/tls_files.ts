/**
 * The PEM files of TLS towards a control plane, read and checked on every connect: the kubelet and Istio's agent rotate them.
 * What a TLS library would only say as "handshake failed" is told here with the file and before dialing.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { TlsTarget } from "../core/ports.ts";
import type { Failure } from "./connect_error.ts";
import { LeadsOut, type ReadScope, readTextWithin } from "./read_scope.ts";

/** PEM texts. `cert` and `key` both or none. */
export interface TlsMaterial {
  readonly ca: readonly string[];
  readonly cert?: string;
  readonly key?: string;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * The files of a target, or what is wrong with them (D203). Client files that are both missing are no failure: `cert` is absent
 * then, and it is for the caller to have another proof of identity.
 */
export async function readTlsFiles(tls: TlsTarget, scope?: ReadScope): Promise<TlsMaterial | Failure> {
  const roots = await readText(tls.rootCertificate, scope);
  if (roots.text === undefined) return refuse("root certificate", tls.rootCertificate, roots.state);
  const ca = (roots.text.match(PEM_CERTIFICATE) ?? []).filter(isCertificate);
  if (ca.length === 0) {
    return refuse(
      "root certificate",
      tls.rootCertificate,
      roots.text.trim() === "" ? "is empty" : "has no certificate",
    );
  }
  if (tls.clientCertificate === undefined || tls.clientKey === undefined) return { ca };

  const [cert, key] = await Promise.all([
    readText(tls.clientCertificate, scope),
    readText(tls.clientKey, scope),
  ]);
  if (cert.missing && key.missing) return { ca };
  if (cert.text === undefined) return refuse("client certificate", tls.clientCertificate, cert.state);
  if (key.text === undefined) return refuse("client key", tls.clientKey, key.state);
  const leaf = cert.text.match(PEM_CERTIFICATE)?.find(isCertificate);
  if (leaf === undefined) return refuse("client certificate", tls.clientCertificate, "has no certificate");
  try {
    if (!new X509Certificate(leaf).checkPrivateKey(createPrivateKey(key.text))) {
      return refuse(
        "client key",
        tls.clientKey,
        `does not belong to the certificate in "${tls.clientCertificate}"`,
      );
    }
  } catch {
    // The cause may quote the key.
    return refuse("client key", tls.clientKey, "has no private key that can be read");
  }
  return { ca, cert: cert.text, key: key.text };
}

function refuse(what: string, path: string, state: string): Failure {
  return {
    code: "D203",
    state: `${what} file "${path}" ${state}`,
    wanted: `want PEM`,
    hint: "Mount root-cert.pem, cert-chain.pem and key.pem where discovery.certDirectory says.",
  };
}

async function readText(
  path: string,
  scope: ReadScope | undefined,
): Promise<{ text?: string; state: string; missing: boolean }> {
  try {
    return { text: await readTextWithin(path, scope), state: "", missing: false };
  } catch (cause) {
    if (cause instanceof LeadsOut) return { state: cause.message, missing: false };
    if (cause instanceof Deno.errors.NotFound) return { state: "does not exist", missing: true };
    return { state: "cannot be read", missing: false };
  }
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

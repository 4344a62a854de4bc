/** `doctor`: certificates and token: whether they can be used, and until when. */
import { X509Certificate } from "node:crypto";
import { certificateOf } from "../net/diagnose_connection.ts";
import { resolveName } from "../net/dns.ts";
import { readTlsFiles } from "../net/tls_files.ts";
import { readToken } from "../net/token_file.ts";
import { oneLine } from "../core/one_line.ts";
import { tlsOf } from "../discovery/ads.ts";
import type { AgentConfig, ControlPlaneAddress } from "../settings/types.ts";
import { type Check, fail, fromNow, ok, warn } from "./check_line.ts";

/** A moment that must lie in the past of this machine. */
export interface Past {
  readonly what: string;
  readonly ms: number;
  /** It must be now, too. */
  readonly now?: true;
}

/** Less than this part of its life left is worth a warning: Istio renews at half, the kubelet at a fifth. */
const SOON = 0.1;
const PATIENCE_MS = 5_000;

/** Of the TLS that these control planes want. Never rejects. */
export async function* checkIdentity(
  config: AgentConfig,
  planes: readonly ControlPlaneAddress[],
  past: Past[],
  nowMs: number,
): AsyncGenerator<Check> {
  for (const plane of planes) yield* checkServer(plane, past, nowMs);
  const { tls, tokenFile } = tlsOf(config);
  if (tls === undefined) return;
  const material = await readTlsFiles(tls);
  if ("code" in material) {
    yield fail("certificate", material.state, material.hint ?? "Mount the files of discovery.certDirectory.");
  } else {
    for (const pem of material.ca) yield lifeOf("root", new X509Certificate(pem), past, nowMs, ROOT_NEXT);
    if (material.cert !== undefined) {
      yield lifeOf("certificate", new X509Certificate(material.cert), past, nowMs, CLIENT_NEXT);
    }
  }
  const hasClient = !("code" in material) && material.cert !== undefined;
  yield* checkToken(tokenFile ?? "", hasClient, past, nowMs);
}

const ROOT_NEXT = "Put the root of this mesh (configmap istio-ca-root-cert) into root-cert.pem.";
const CLIENT_NEXT =
  "Have the workload's certificate renewed: cert-chain.pem and key.pem of discovery.certDirectory.";
const SERVER_NEXT = "Let the control plane renew its certificate, and check the clocks of both machines.";

async function* checkServer(
  { host, port, text }: ControlPlaneAddress,
  past: Past[],
  nowMs: number,
): AsyncGenerator<Check> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const addresses = await resolveName(host, signal).catch(() => []);
  for (const address of addresses) {
    const shown = await certificateOf(address, port, signal, host);
    // Nobody there: told by the steps.
    if (shown?.raw === undefined) continue;
    yield lifeOf(`of ${text}`, new X509Certificate(shown.raw), past, nowMs, SERVER_NEXT);
    return;
  }
}

function lifeOf(
  what: string,
  certificate: X509Certificate,
  past: Past[],
  nowMs: number,
  next: string,
): Check {
  const from = Date.parse(certificate.validFrom);
  const to = Date.parse(certificate.validTo);
  const names = certificate.subjectAltName ?? certificate.subject ?? "";
  const named = names === "" ? "" : `, for ${oneLine(names, 200)}`;
  past.push({ what: `the start of certificate ${what}`, ms: from });
  const name = what.startsWith("of ") ? "certificate" : what;
  const of = what.startsWith("of ") ? `${what.slice(3)}: ` : "";
  const until = `${new Date(to).toISOString()} (${fromNow(to, nowMs)})`;
  if (nowMs >= to) return fail(name, `${of}it ended at ${until}${named}`, next);
  if (nowMs < from) return fail(name, `${of}it begins only ${fromNow(from, nowMs)}${named}`, next);
  if (to - nowMs < SOON * (to - from)) return warn(name, `${of}it ends soon, at ${until}${named}`, next);
  return ok(name, `${of}good until ${until}${named}`);
}

interface Claims {
  readonly exp?: unknown;
  readonly iat?: unknown;
  readonly aud?: unknown;
  readonly sub?: unknown;
}

const TOKEN_NEXT =
  "Mount a fresh token of audience istio-ca at discovery.tokenFile; on a VM: istioctl x workload entry configure again.";
const AUDIENCE = "istio-ca";

async function* checkToken(
  path: string,
  hasClient: boolean,
  past: Past[],
  nowMs: number,
): AsyncGenerator<Check> {
  if (path === "") return;
  const read = await readToken(path);
  if ("failure" in read) {
    if (read.missing && hasClient) {
      return yield ok("token", `none at ${path}: the client certificate stands in`);
    }
    return yield fail("token", read.failure.state, TOKEN_NEXT);
  }
  const claims = claimsOf(read.token);
  if (claims === undefined) return yield fail("token", `token file "${path}" holds no JWT`, TOKEN_NEXT);
  const { exp, iat, aud, sub } = claims;
  if (typeof iat === "number") past.push({ what: "the issue of the token", ms: iat * 1000 });
  const of = typeof sub === "string" ? `, of ${oneLine(sub, 100)}` : "";
  const audiences = [aud].flat().filter((each) => typeof each === "string");
  if (!audiences.includes(AUDIENCE)) {
    const written = audiences.length === 0 ? "none" : oneLine(audiences.join(", "), 100);
    yield warn("token", `its audience is ${written}; istiod wants ${AUDIENCE}`, TOKEN_NEXT);
  }
  if (typeof exp !== "number") return yield warn("token", `it says no end (exp)${of}`, TOKEN_NEXT);
  const until = `${new Date(exp * 1000).toISOString()} (${fromNow(exp * 1000, nowMs)})`;
  if (nowMs >= exp * 1000) return yield fail("token", `it ended at ${until}${of}`, TOKEN_NEXT);
  const lifeMs = typeof iat === "number" ? (exp - iat) * 1000 : 0;
  if (exp * 1000 - nowMs < SOON * lifeMs) yield warn("token", `it ends soon, at ${until}${of}`, TOKEN_NEXT);
  else yield ok("token", `good until ${until}${of}`);
}

/** Of a JWT (RFC 7519), unchecked: only its issuer can check it. */
function claimsOf(token: string): Claims | undefined {
  try {
    const [, payload, ...rest] = token.split(".");
    if (payload === undefined || rest.length !== 1) return undefined;
    const text = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    return typeof claims === "object" && claims !== null ? claims : undefined;
  } catch {
    return undefined;
  }
}

/** Certificates made on the spot (X.509 v3, P-256), self-signed or by an authority, so that no key lies in the repository. */

export interface Certificate {
  /** PEM. */
  readonly cert: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

export interface CertificateOptions {
  /** Signs it; default: it signs itself. Its own name becomes the issuer's name. */
  readonly issuer?: Certificate & { readonly name: string };
  /** May sign others. */
  readonly authority?: boolean;
  /** Further names: `DNS:a.example`, `URI:spiffe://…`, `IP:127.0.0.1`. Default: the name itself as DNS. */
  readonly names?: readonly string[];
  /** Validity, ms since the epoch; default from yesterday for ten years. */
  readonly fromMs?: number;
  readonly toMs?: number;
}

const DAY = 86_400_000;
const ECDSA = { name: "ECDSA", namedCurve: "P-256" };

export async function makeCertificate(
  name: string,
  options: CertificateOptions = {},
): Promise<Certificate & { readonly name: string }> {
  const keys = await crypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey));
  const privateKey = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const { issuer, names = [`DNS:${name}`] } = options;
  const signingKey = issuer === undefined
    ? keys.privateKey
    : await crypto.subtle.importKey("pkcs8", unpem(issuer.key), ECDSA, false, ["sign"]);
  // ecdsa-with-SHA256, commonName, subjectAltName, basicConstraints (RFC 5758, RFC 5280).
  const algorithm = der(0x30, oid([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
  const alternatives = der(0x30, ...names.map(alternative));
  const extensions = [der(0x30, oid([0x55, 0x1d, 0x11]), der(0x04, alternatives))];
  if (options.authority === true) {
    const constraints = der(0x30, der(0x01, Uint8Array.of(0xff)));
    extensions.push(
      der(0x30, oid([0x55, 0x1d, 0x13]), der(0x01, Uint8Array.of(0xff)), der(0x04, constraints)),
    );
  }
  const tbs = der(
    0x30,
    der(0xa0, der(0x02, Uint8Array.of(2))),
    der(0x02, Uint8Array.of(1, ...crypto.getRandomValues(new Uint8Array(8)))),
    algorithm,
    commonName(issuer?.name ?? name),
    der(0x30, time(options.fromMs ?? Date.now() - DAY), time(options.toMs ?? Date.now() + 3650 * DAY)),
    commonName(name),
    publicKey,
    der(0xa3, der(0x30, ...extensions)),
  );
  const raw = new Uint8Array(
    await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, signingKey, tbs),
  );
  const signature = der(0x30, integer(raw.subarray(0, 32)), integer(raw.subarray(32)));
  const whole = der(0x30, tbs, algorithm, der(0x03, Uint8Array.of(0), signature));
  return { name, cert: pem("CERTIFICATE", whole), key: pem("PRIVATE KEY", privateKey) };
}

function commonName(name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  return der(0x30, der(0x31, der(0x30, oid([0x55, 0x04, 0x03]), der(0x0c, text))));
}

function alternative(text: string): Uint8Array {
  const colon = text.indexOf(":");
  const [kind, value] = [text.slice(0, colon), text.slice(colon + 1)];
  if (kind === "IP") return der(0x87, Uint8Array.from(value.split(".").map(Number)));
  return der(kind === "URI" ? 0x86 : 0x82, new TextEncoder().encode(value));
}

function unpem(text: string): Uint8Array<ArrayBuffer> {
  const base64 = text.replaceAll(/-----[^-]+-----|\s/g, "");
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/** Tag, length, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, p) => sum + p.length, 0);
  const lengthBytes = length < 128
    ? [length]
    : length < 256
    ? [0x81, length]
    : [0x82, length >> 8, length & 255];
  const out = new Uint8Array(1 + lengthBytes.length + length);
  out.set([tag, ...lengthBytes]);
  let at = 1 + lengthBytes.length;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function oid(bytes: readonly number[]): Uint8Array {
  return der(0x06, Uint8Array.from(bytes));
}

/** Positive INTEGER without needless leading zeros. */
function integer(bytes: Uint8Array): Uint8Array {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from++;
  const digits = bytes.subarray(from);
  return der(0x02, (digits[0] as number) > 127 ? Uint8Array.of(0, ...digits) : digits);
}

function time(ms: number): Uint8Array {
  const text = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  return der(0x18, new TextEncoder().encode(text));
}

function pem(label: string, bytes: Uint8Array): string {
  // No line may be empty: OpenSSL refuses the whole.
  const lines = btoa(String.fromCharCode(...bytes)).match(/.{1,64}/g) as string[];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

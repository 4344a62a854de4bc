/** A self-signed certificate made on the spot (X.509 v3, P-256), so that no key lies in the repository. */

export interface Certificate {
  /** PEM. */
  readonly cert: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

/** For one DNS name, valid from yesterday for ten years. */
export async function makeCertificate(name: string): Promise<Certificate> {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey));
  const privateKey = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const text = new TextEncoder().encode(name);
  // ecdsa-with-SHA256, commonName, subjectAltName (RFC 5758, RFC 5280).
  const algorithm = der(0x30, oid([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
  const subject = der(0x30, der(0x31, der(0x30, oid([0x55, 0x04, 0x03]), der(0x0c, text))));
  const alternative = der(0x30, der(0x82, text));
  const day = 86_400_000;
  const tbs = der(
    0x30,
    der(0xa0, der(0x02, Uint8Array.of(2))),
    der(0x02, Uint8Array.of(1, ...crypto.getRandomValues(new Uint8Array(8)))),
    algorithm,
    subject,
    der(0x30, time(Date.now() - day), time(Date.now() + 3650 * day)),
    subject,
    publicKey,
    der(0xa3, der(0x30, der(0x30, oid([0x55, 0x1d, 0x11]), der(0x04, alternative)))),
  );
  const raw = new Uint8Array(
    await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, keys.privateKey, tbs),
  );
  const signature = der(0x30, integer(raw.subarray(0, 32)), integer(raw.subarray(32)));
  const whole = der(0x30, tbs, algorithm, der(0x03, Uint8Array.of(0), signature));
  return { cert: pem("CERTIFICATE", whole), key: pem("PRIVATE KEY", privateKey) };
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
  const base64 = btoa(String.fromCharCode(...bytes)).replaceAll(/.{64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}

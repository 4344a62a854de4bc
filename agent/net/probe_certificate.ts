/** A certificate (X.509 v3, P-256, self-signed) that lives as long as one probe of the runtime's TLS. */

/** Both PEM. `name` is its common name and its DNS name, at most 60 letters. */
export async function probeCertificate(
  name: string,
): Promise<{ readonly cert: string; readonly key: string }> {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]);
  const [spki, pkcs8] = await Promise.all([
    crypto.subtle.exportKey("spki", keys.publicKey),
    crypto.subtle.exportKey("pkcs8", keys.privateKey),
  ]);
  const text = new TextEncoder().encode(name);
  // commonName, subjectAltName, ecdsa-with-SHA256 (RFC 5280, RFC 5758).
  const subject = der(0x30, der(0x31, der(0x30, Uint8Array.of(6, 3, 0x55, 4, 3), der(0x0c, text))));
  const names = der(0x30, Uint8Array.of(6, 3, 0x55, 0x1d, 0x11), der(0x04, der(0x30, der(0x82, text))));
  const algorithm = der(0x30, Uint8Array.of(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2));
  const time = (of: string) => der(0x18, new TextEncoder().encode(of));
  const signed = der(
    0x30,
    der(0xa0, Uint8Array.of(2, 1, 2)),
    Uint8Array.of(2, 1, 1),
    algorithm,
    subject,
    der(0x30, time("20000101000000Z"), time("21000101000000Z")),
    subject,
    new Uint8Array(spki),
    der(0xa3, der(0x30, names)),
  );
  const raw = new Uint8Array(
    await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, keys.privateKey, signed),
  );
  const signature = der(0x30, integer(raw.subarray(0, 32)), integer(raw.subarray(32)));
  return {
    cert: pem("CERTIFICATE", der(0x30, signed, algorithm, der(0x03, Uint8Array.of(0), signature))),
    key: pem("PRIVATE KEY", new Uint8Array(pkcs8)),
  };
}

/** Tag, length and contents; contents below 64 KiB. */
function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Uint8Array.from([tag, ...head, ...parts.flatMap((part) => [...part])]);
}

/** The shortest form of a number that is not negative. */
function integer(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = first < 0 ? Uint8Array.of(0) : bytes.subarray(first);
  return der(0x02, digits[0]! >= 0x80 ? Uint8Array.of(0, ...digits) : digits);
}

function pem(label: string, bytes: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...bytes)).replaceAll(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}

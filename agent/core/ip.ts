/** IP addresses as text: one normal spelling, so that equal addresses are equal strings. Small, because it loads at every start. */

/**
 * Shortest lower-case spelling (RFC 5952), without brackets and zone; an IPv4-mapped IPv6 address becomes IPv4. Undefined
 * for everything that is no address: `127.1`, `010.0.0.1` and `2130706433` are names to us.
 */
export function normalAddress(text: string): string | undefined {
  if (IPV4.test(text)) return text;
  if (!text.includes(":")) return undefined;
  const plain = text.replace(/^\[(.*)\]$/, "$1").replace(/%[\w.~-]+$/, "");
  if (!/^[0-9a-f:.]+$/i.test(plain)) return undefined;
  let short: string;
  try {
    // The URL standard's serializer writes RFC 5952.
    short = new URL(`http://[${plain}]/`).hostname.slice(1, -1);
  } catch {
    return undefined;
  }
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (mapped === null) return short;
  const [high, low] = [parseInt(mapped[1] as string, 16), parseInt(mapped[2] as string, 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

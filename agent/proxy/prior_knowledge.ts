/** Tells HTTP/2 and TLS from HTTP/1.1 by the first bytes of a connection, without the code of either. */

/** `PRI ` tells HTTP/2 from every method of HTTP/1.1. */
const PRIOR_KNOWLEDGE = [80, 82, 73, 32];

/** Is it HTTP/2 with prior knowledge (RFC 9113 section 3.3)? undefined: more bytes must tell. */
export function isHttp2(buf: Uint8Array, start: number, end: number): boolean | undefined {
  const n = Math.min(end - start, PRIOR_KNOWLEDGE.length);
  for (let i = 0; i < n; i++) if (buf[start + i] !== PRIOR_KNOWLEDGE[i]) return false;
  return n === PRIOR_KNOWLEDGE.length ? true : undefined;
}

/** Type of the record that a TLS ClientHello comes in (RFC 8446 section 5.1); no method of HTTP begins with it. */
const HANDSHAKE = 22;

export function isTls(buf: Uint8Array, start: number): boolean {
  return buf[start] === HANDSHAKE;
}

/** A first line of three words of which none is HTTP: whoever sent it could not read an answer (RFC 9113 section 3.4). */
export function isNoHttp(line: string): boolean {
  return /^[^ ]+ [^ ]+ (?!HTTP)[^ ]+$/i.test(line);
}

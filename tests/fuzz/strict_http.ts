/**
 * The strictest reader of HTTP/1.1: throws at every byte that RFC 9112 does not write exactly so. What the agent sends must
 * pass it whatever came in. Shares no code with the agent.
 */

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Splits what a peer of the agent received into messages; only the last may be unfinished. Gives their start lines. */
export function strictMessages(
  bytes: string,
  kind: "request" | "response",
  methods: readonly string[] = [],
): string[] {
  const startLines: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf("\r\n\r\n", at);
    if (end < 0) {
      // An unfinished head is a cut connection; but what is there must be clean.
      lines(bytes.slice(at), true);
      return startLines;
    }
    const [start, ...fields] = lines(bytes.slice(at, end), false);
    at = end + 4;
    if (kind === "request") {
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP\/1\.1$/.test(start!)) bad("request line", start!);
    } else if (!/^HTTP\/1\.[01] [1-9]\d\d( [\t\x20-\x7e\x80-\xff]*)?$/.test(start!)) {
      bad("status line", start!);
    }
    const values = new Map<string, string[]>();
    for (const field of fields) {
      const colon = field.indexOf(":");
      const name = field.slice(0, colon);
      if (colon < 1 || !TOKEN.test(name)) bad("header line", field);
      const value = field.slice(colon + 1).trim();
      values.set(name.toLowerCase(), [...values.get(name.toLowerCase()) ?? [], value]);
    }
    startLines.push(start!);
    const coding = values.get("transfer-encoding");
    const length = values.get("content-length");
    if (kind === "request" && values.get("host")?.length !== 1) bad("number of Host lines", fields.join("|"));
    if (coding !== undefined && (coding.length !== 1 || coding[0] !== "chunked")) {
      bad("coding", coding.join("|"));
    }
    if (length !== undefined && (length.length !== 1 || !/^\d+$/.test(length[0]!))) {
      bad("length", length.join("|"));
    }
    if (coding !== undefined && length !== undefined) bad("framing", "both length and coding");
    const status = kind === "response" ? Number(start!.slice(9, 12)) : 0;
    const final = startLines.filter((line) => !line.startsWith("HTTP/1.1 1")).length - 1;
    if (kind === "response") {
      if (status < 200 || status === 204 || status === 304 || methods[final] === "HEAD") continue;
      if (coding === undefined && length === undefined) return startLines;
    }
    if (coding !== undefined) {
      const after = chunks(bytes, at);
      if (after < 0) return startLines;
      at = after;
    } else if (length !== undefined) {
      at += Number(length[0]);
      if (at > bytes.length) return startLines;
    }
  }
  return startLines;
}

/** Position behind the last chunk; -1 when the body is cut. */
function chunks(bytes: string, from: number): number {
  let at = from;
  for (;;) {
    const eol = bytes.indexOf("\r\n", at);
    if (eol < 0) return -1;
    const size = bytes.slice(at, eol);
    if (!/^[0-9a-fA-F]{1,12}$/.test(size)) bad("chunk size", size);
    at = eol + 2;
    const count = parseInt(size, 16);
    if (count === 0) break;
    at += count;
    if (at + 2 > bytes.length) return -1;
    if (bytes.slice(at, at + 2) !== "\r\n") bad("end of chunk", bytes.slice(at, at + 2));
    at += 2;
  }
  if (bytes.startsWith("\r\n", at)) return at + 2;
  const end = bytes.indexOf("\r\n\r\n", at);
  if (end < 0) return -1;
  for (const line of lines(bytes.slice(at, end), false)) {
    if (!TOKEN.test(line.split(":")[0]!)) bad("trailer", line);
  }
  return end + 4;
}

function lines(head: string, unfinished: boolean): string[] {
  const parts = head.split("\r\n");
  for (const [i, line] of parts.entries()) {
    const whole = unfinished && i === parts.length - 1 ? line.replace(/\r$/, "") : line;
    // deno-lint-ignore no-control-regex
    if (/[\x00-\x08\x0a-\x1f\x7f]/.test(whole)) bad("line", line);
  }
  return parts;
}

function bad(what: string, value: string): never {
  throw new Error(`Cannot accept ${what} ${JSON.stringify(value)} of the agent`);
}

/**
 * The tempers of Pilot 0.8.0 and 1.0.9 (xDS v2). Neither looks at versions and nonces: what an answer gets depends on the names
 * alone, and every change is pushed in full to whoever ever asked for a type.
 */
import { isIP } from "node:net";
import { watchedTypes } from "./stream.mjs";

/** gRPC status UNKNOWN. */
const UNKNOWN = 2;

/**
 * `dies(text)` ends the process, as a nil dereference did.
 *
 * 0.8.0: a request without node kills the process, and so does an RDS name that is neither a port nor `http_proxy`.
 */
export function pilot080(dies) {
  const order = ["CDS", "RDS", "EDS", "LDS"];
  return {
    generation: "v2",
    pingLimit: true,
    version: (push) => `2026-11-24 07:37:45.409818586 +0000 UTC m=+${push}.050812677`,
    receive(stream, request) {
      if (request.node === undefined) {
        return dies("runtime error: nil pointer dereference: DiscoveryRequest.Node");
      }
      if (!acceptsNode(stream, request)) return;
      if (request.type === "RDS" && request.names.some((name) => !isTable(name))) {
        return dies("runtime error: nil pointer dereference: RouteConfiguration");
      }
      if (isWildcard(request.type)) answerOnce(stream, request);
      else answerByCount(stream, request, request.names);
    },
    push: (stream) => pushEverything(stream, order),
  };
}

/** 1.0.9: ignores requests without node, compares the names of EDS, leaves out tables that it does not know. */
export function pilot109() {
  const order = ["CDS", "EDS", "RDS", "LDS"];
  return {
    generation: "v2",
    pingLimit: true,
    version: (push) => push === 0 ? "0" : `2026-11-24T07:38:12Z/${push}`,
    receive(stream, request) {
      if (request.node === undefined || !acceptsNode(stream, request)) return;
      if (isWildcard(request.type)) answerOnce(stream, request);
      else if (request.type === "RDS") answerByCount(stream, request, request.names.filter(isTable));
      else answerByNames(stream, request);
    },
    push: (stream) => pushEverything(stream, order),
  };
}

function isWildcard(type) {
  return type === "CDS" || type === "LDS";
}

function isTable(name) {
  return name === "http_proxy" || /^\d+$/.test(name);
}

/** False for what both ignore: an empty node id, a type of another generation. A malformed id ends the stream. */
function acceptsNode(stream, { node, type }) {
  if (node.id === "" || type === "other") return false;
  const [nodeType, ip, ...rest] = node.id.split("~");
  const fault = rest.length !== 2
    ? "missing parts"
    : !["sidecar", "ingress", "router"].includes(nodeType)
    ? "invalid node type (valid types: ingress, sidecar, router)"
    : isIP(ip) === 0
    ? `invalid IP address "${ip}"`
    : undefined;
  if (fault === undefined) return true;
  stream.end(UNKNOWN, `${fault} in the service node "${node.id}"`);
  return false;
}

/** CDS and LDS: any later request is an ACK. */
function answerOnce(stream, { type }) {
  if (stream.watched.has(type)) return;
  stream.watched.set(type, { names: [] });
  stream.answer(type, stream.store.names(type));
}

/**
 * As many names as before, or none, is an ACK, whatever the names are. While nothing is watched, no names are an ordinary
 * question, answered without resources: a client that ACKs it with no names turns in a loop.
 */
function answerByCount(stream, { type, names }, known) {
  const before = stream.watched.get(type)?.names ?? [];
  if (before.length > 0 && (names.length === before.length || names.length === 0)) return;
  stream.watched.set(type, { names, known });
  stream.answer(type, known);
}

/** EDS of 1.0.9: other names are a question, in any order; no names but a nonce are an ACK. */
function answerByNames(stream, { type, names, nonce }) {
  if (names.length === 0 && nonce !== "") return;
  const sorted = [...names].sort();
  if (JSON.stringify(sorted) === JSON.stringify(stream.watched.get(type)?.names)) return;
  stream.watched.set(type, { names: sorted, known: sorted });
  stream.answer(type, sorted);
}

function pushEverything(stream, order) {
  for (const type of watchedTypes(stream, order)) {
    const { names, known } = stream.watched.get(type);
    if (isWildcard(type)) stream.answer(type, stream.store.names(type));
    else if (names.length > 0) stream.answer(type, known);
  }
}

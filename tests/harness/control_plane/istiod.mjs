/**
 * The temper of a current istiod (xDS v3), state-of-the-world and delta. Sources: ShouldRespond and shouldRespondDelta of
 * istio/pilot/pkg/xds, and recorded streams.
 */
import { watchedTypes } from "./stream.mjs";

const ORDER = ["CDS", "EDS", "LDS", "RDS"];
/** Sent with every CDS answer of a delta stream, changed or not. */
const ALWAYS = ["BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster"];
/** gRPC status INVALID_ARGUMENT. */
const INVALID_ARGUMENT = 3;

export function istiod() {
  return {
    generation: "v3",
    pingLimit: false,
    version: (push) => `2026-11-24T07:32:19Z/${push + 1}`,
    receive(stream, request) {
      if (stream.watched.size === 0 && !stream.greeted) {
        if (!request.node?.id) return stream.end(INVALID_ARGUMENT, "missing node information");
        stream.greeted = true;
      }
      if (request.type === "other") return;
      if (stream.delta) receiveDelta(stream, request);
      else receiveSotw(stream, request);
    },
    push: (stream, change) => stream.delta ? pushDelta(stream, change) : pushSotw(stream, change),
  };
}

function isWildcard(type) {
  return type === "CDS" || type === "LDS";
}

// ---------------------------------------------------------------- state of the world

function receiveSotw(stream, request) {
  const { type, names, nonce } = request;
  // A NACK: its names are not taken over, and nothing is sent again before something changes.
  if (request.error !== undefined) return;
  if (names.length === 0 && !isWildcard(type)) return void stream.watched.delete(type);
  const watched = stream.watched.get(type);
  if (nonce === "" || watched === undefined) {
    stream.watched.set(type, { names, nonce: "" });
    // A client that got clusters waits for their endpoints, also when it asked for them before.
    if (type === "CDS" && stream.watched.has("EDS")) stream.watched.get("EDS").alwaysRespond = true;
    return stream.answer(type, isWildcard(type) ? stream.store.names(type) : names);
  }
  // Of an older answer: ignored with all its names.
  if (nonce !== watched.nonce) return;
  const added = names.filter((name) => !watched.names.includes(name));
  const { alwaysRespond } = watched;
  Object.assign(watched, { names, alwaysRespond: false });
  if (alwaysRespond) stream.answer(type, names);
  else if (added.length > 0) stream.answer(type, added);
}

/** CDS and LDS whole, EDS only what changed (what went comes empty), RDS all tables that are watched. */
function pushSotw(stream, change) {
  const kind = kindOf(change);
  for (const type of watchedTypes(stream, ORDER)) {
    const { names } = stream.watched.get(type);
    if (type === "EDS") {
      const touched = ofTouchedHosts(touchedOf(change, "EDS"), names);
      if (touched.length > 0) stream.answer("EDS", touched);
    } else if (kind === "everything") {
      stream.answer(type, isWildcard(type) ? stream.store.names(type) : names);
    }
  }
}

// ---------------------------------------------------------------- delta

function receiveDelta(stream, request) {
  const { type, nonce, subscribe, unsubscribe, initialVersions } = request;
  if (request.error !== undefined) return;
  const asked = subscribe.filter((name) => name !== "*");
  const held = Object.keys(initialVersions);
  const watched = stream.watched.get(type);
  if (watched === undefined) {
    stream.watched.set(type, { names: new Set([...asked, ...held]), nonce: "" });
    const wanted = isWildcard(type) ? stream.store.names(type) : [...asked, ...held];
    const gone = isWildcard(type) ? held.filter((name) => stream.store.get(type, name) === undefined) : [];
    stream.answer(type, [...new Set(wanted)], gone);
    // Whoever asks for clusters gets the endpoints that it watches once more.
    if (type === "CDS" && stream.watched.has("EDS")) {
      stream.answer("EDS", [...stream.watched.get("EDS").names]);
    }
    return;
  }
  // Of an older answer: ignored with all its names.
  if (nonce !== "" && nonce !== watched.nonce) return;
  const added = asked.filter((name) => !watched.names.has(name));
  for (const name of asked) watched.names.add(name);
  for (const name of unsubscribe) watched.names.delete(name);
  if (added.length > 0) stream.answer(type, asked);
}

/** CDS: the hosts that changed, what went, and three that always come. LDS whole. EDS: what changed, what went empty. RDS: what is watched. */
function pushDelta(stream, change) {
  const kind = kindOf(change);
  for (const type of watchedTypes(stream, ORDER)) {
    const names = [...stream.watched.get(type).names];
    if (type === "EDS") {
      const touched = ofTouchedHosts(touchedOf(change, "EDS"), names);
      if (touched.length > 0) stream.answer("EDS", touched);
    } else if (kind !== "everything") continue;
    else if (type === "CDS") {
      const always = ALWAYS.filter((name) => stream.store.get("CDS", name) !== undefined);
      const touched = ofTouchedHosts(touchedOf(change, "CDS"), stream.store.names("CDS"));
      stream.answer("CDS", [...new Set([...touched, ...always])], change.CDS?.removed);
    } else if (type === "LDS") stream.answer("LDS", stream.store.names("LDS"), change.LDS?.removed);
    else stream.answer("RDS", names);
  }
}

// ---------------------------------------------------------------- what changed

/** Endpoints travel alone; any other change is a push of all types. */
function kindOf(change) {
  const touched = Object.keys(change).filter((type) => touchedOf(change, type).length > 0);
  if (touched.length === 0) return "nothing";
  return touched.length === 1 && touched[0] === "EDS" ? "endpoints" : "everything";
}

function touchedOf(change, type) {
  return [...(change[type]?.changed ?? []), ...(change[type]?.removed ?? [])];
}

/** Clusters and endpoints change by host: all subsets and ports of a host come together. */
function ofTouchedHosts(touched, names) {
  const hostOf = (name) => name.slice(name.lastIndexOf("|") + 1);
  const hosts = new Set(touched.map(hostOf));
  return names.filter((name) => hosts.has(hostOf(name)));
}

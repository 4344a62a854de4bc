/**
 * A scripted control plane: a gRPC server (grpc-js) in a process of its own that plays one of several tempers of Istio's control
 * plane. Commands come in as JSON lines on standard input, everything that happens goes out as JSON lines on standard output.
 * Tests drive it through tests/harness/control_plane.ts.
 *
 * node main.mjs '{"temper":"istiod","port":0}'
 */
import net from "node:net";
import readline from "node:readline";
import grpc from "@grpc/grpc-js";
import { Connection } from "./connection.mjs";
import { istiod } from "./istiod.mjs";
import { pilot080, pilot109 } from "./pilot.mjs";
import { recording } from "./recording.mjs";
import { Store, TYPES } from "./store.mjs";
import { Stream } from "./stream.mjs";

const options = JSON.parse(process.argv[2] ?? "{}");

function report(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function dies(text) {
  report({ kind: "panic", text });
  process.stderr.write(`panic: ${text}\n`);
  process.exit(2);
}

const TEMPERS = {
  "pilot-0.8.0": () => pilot080(dies),
  "pilot-1.0.9": pilot109,
  istiod,
  "recording-v2": () => recording("v2"),
  "recording-v3": () => recording("v3"),
};

const temper = TEMPERS[options.temper]();
const store = new Store(temper.version);
const connections = new Set();
const streams = new Set();
let nonces = 0;
let nextStreamId = 0;
/** Status that new streams end with; null = they are served. */
let refusal = null;
/** Bytes that new connections write in a turn. */
let pace = Infinity;

const plane = {
  temper,
  store,
  report,
  /** Types whose answers wait. */
  gate: new Set(),
  nextNonce: () => `${store.version}-${++nonces}`,
};

// ---------------------------------------------------------------- the gRPC server

const asIs = (bytes) => bytes;

function method(path, delta) {
  const definition = {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  const handle = (call) => {
    const id = ++nextStreamId;
    report({ kind: "open", stream: id, path, metadata: call.metadata.getMap() });
    if (refusal !== null) {
      report({ kind: "closed", stream: id, reason: "refused" });
      return call.emit("error", refusal);
    }
    const stream = new Stream(id, call, delta, plane);
    streams.add(stream);
    call.on("close", () => streams.delete(stream));
  };
  return { definition, handle };
}

const service = `/envoy.service.discovery.${temper.generation}.AggregatedDiscoveryService`;
const methods = { StreamAggregatedResources: method(`${service}/StreamAggregatedResources`, false) };
if (temper.generation === "v3" && options.delta !== false) {
  methods.DeltaAggregatedResources = method(`${service}/DeltaAggregatedResources`, true);
}
const named = (pick) => Object.fromEntries(Object.entries(methods).map(([name, m]) => [name, pick(m)]));

const server = new grpc.Server({ "grpc.enable_channelz": 0 });
server.addService(named((m) => m.definition), named((m) => m.handle));
const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());

const listener = net.createServer((socket) => {
  socket.setNoDelay(true);
  const connection = new Connection(socket, { pingLimit: temper.pingLimit, report });
  connection.trickle(pace);
  connections.add(connection);
  report({ kind: "connected" });
  connection.on("close", () => connections.delete(connection));
  injector.injectConnection(connection);
});

let listens = false;

function listen() {
  if (listens) return;
  listens = true;
  listener.listen(options.port ?? 0, options.host ?? "127.0.0.1", () => {
    report({ kind: "listening", port: listener.address().port });
  });
}

// ---------------------------------------------------------------- commands

const COMMANDS = {
  /** Replaces types and, unless told otherwise, pushes. */
  set({ resources, push }) {
    const change = store.replace(resources);
    store.advance();
    listen();
    if (push !== false) { for (const stream of streams) stream.push(change); }
  },
  /** The same once more with a new version; with `types` only these count as changed. */
  push({ types }) {
    store.advance();
    const change = {};
    for (const type of types ?? TYPES) change[type] = { changed: store.names(type), removed: [] };
    for (const stream of streams) stream.push(change);
  },
  /** Sends bytes as they are, as one message. */
  say({ message, about }) {
    const bytes = Buffer.from(message, "base64");
    for (const stream of streams) stream.write(bytes, { type: "raw", names: [], removed: [], ...about });
  },
  record({ messages }) {
    temper.load(messages.map((message) => Buffer.from(message, "base64")), options.delta === true);
  },
  next() {
    for (const stream of streams) temper.next(stream);
  },
  hold({ types }) {
    for (const type of types ?? TYPES) plane.gate.add(type);
  },
  release() {
    plane.gate.clear();
    for (const stream of streams) stream.flush();
  },
  /** Writes so many bytes in a turn of the event loop; 0 = as fast as it goes. */
  trickle({ bytesPerTurn }) {
    pace = bytesPerTurn === 0 ? Infinity : bytesPerTurn;
    for (const connection of connections) connection.trickle(pace);
  },
  cutAfter({ bytes }) {
    for (const connection of connections) connection.cutAfter(bytes);
  },
  disconnect() {
    for (const connection of connections) connection.cut();
  },
  end({ code, details }) {
    for (const stream of streams) stream.end(code, details);
  },
  /** New streams get this status; null = they are served again. */
  refuse({ status }) {
    refusal = status;
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, command, ...rest } = JSON.parse(line);
  COMMANDS[command](rest);
  report({ kind: "done", id });
}).on("close", () => process.exit(0));

if (!options.servesFirst) listen();

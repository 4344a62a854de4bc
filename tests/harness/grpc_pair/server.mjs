/**
 * A gRPC server (grpc-js) in a process of its own. The first message of a call says what it does, as JSON padded with spaces:
 *   {"echo": true}               every message comes back, the order included; OK at the client's end
 *   {"status": 5, "details": ""} fails without a message: a trailers-only answer
 *   {"failAfter": 2}             so many messages, then UNAVAILABLE in trailers
 *   {"failFirst": n, "key": k}   the first n calls with that key fail with UNAVAILABLE, the others answer
 *   {"hang": true}               nothing until the client cancels, which is told on standard output
 *   {"count": n, "bytes": m}     n messages of m bytes
 * `node server.mjs [GOAWAY_MS]`: `{"port": n}` on the first line of output, then events. Ends with its input.
 */
import grpc from "@grpc/grpc-js";

const asIs = (bytes) => bytes;
const report = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const failures = new Map();

async function send(call, { count, bytes }) {
  const message = Buffer.alloc(bytes, 7);
  for (let i = 0; i < count; i++) {
    if (!call.write(message)) await new Promise((resolve) => call.once("drain", resolve));
  }
  call.end();
}

function begin(call, order, message) {
  if (order.echo === true) return void call.write(message);
  if (order.status !== undefined) {
    return void call.emit("error", { code: order.status, details: order.details ?? "" });
  }
  if (order.failAfter !== undefined) {
    for (let i = 0; i < order.failAfter; i++) call.write(message);
    return void call.emit("error", { code: 14, details: "on purpose" });
  }
  if (order.failFirst !== undefined) {
    const n = (failures.get(order.key) ?? 0) + 1;
    failures.set(order.key, n);
    if (n <= order.failFirst) return void call.emit("error", { code: 14, details: `failure ${n}` });
    call.write(Buffer.from(String(n)));
    return void call.end();
  }
  if (order.hang === true) {
    return report({
      event: "hangs",
      timeout: call.metadata.get("grpc-timeout")[0] ?? "",
      deadline: String(call.getDeadline()),
    });
  }
  if (order.metadata === true) {
    const trailer = new grpc.Metadata();
    trailer.set("x-trailer", "t");
    trailer.set("x-bin", Buffer.from([0, 1, 255]));
    call.write(Buffer.from(JSON.stringify(call.metadata.getMap())));
    return void call.end(trailer);
  }
  void send(call, order);
}

function handle(call) {
  let order = null;
  call.on("data", (message) => {
    if (order !== null) return void (order.echo === true && call.write(message));
    order = JSON.parse(message.toString("latin1", 0, 200).trim());
    begin(call, order, message);
  });
  call.on("end", () => order?.echo === true && call.end());
  call.on("cancelled", () => report({ event: "cancelled" }));
  call.on("error", () => {});
}

const server = new grpc.Server({
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.max_concurrent_streams": 2000,
  ...(process.argv[2] === undefined ? {} : { "grpc.max_connection_age_ms": Number(process.argv[2]) }),
});
server.addService({
  call: {
    path: "/pair/Call",
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
}, { call: handle });
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  report({ port });
});
process.stdin.on("end", () => process.exit(0)).resume();

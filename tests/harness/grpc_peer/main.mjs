/**
 * A gRPC server (grpc-js) in a process of its own, to try the agent's transport against: it does what the first message of a call
 * says. Tests drive it through tests/harness/grpc_peer.ts.
 *
 * node main.mjs '{"cert":"…","key":"…","ca":"…"}'   (PEM texts; none of them = plaintext)
 *
 * Methods: `/peer/Call` (bidirectional). First message, JSON:
 *   {"echo": true}                        every further message comes back; OK when the client ends
 *   {"push": count, "bytes": size}        so many messages of that size, then OK unless "stay"
 *   {"status": 16, "details": "…"}        ends with it
 *   {"metadata": true}                    one message: the metadata received, as JSON
 * On standard output: `{"port": n}`, then a line for each event (`{"event": "call"}`, `{"event": "pushed", "count": n}`,
 * `{"event": "end", "cancelled": true}`).
 */
import grpc from "@grpc/grpc-js";

const options = JSON.parse(process.argv[2] ?? "{}");
const asIs = (bytes) => bytes;

function report(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function fail(call, code, details) {
  call.emit("error", { code, details });
}

async function push(call, { push: count, bytes, stay }) {
  for (let i = 0; i < count; i++) {
    const message = Buffer.alloc(bytes, i & 0xff);
    if (!call.write(message)) await new Promise((resolve) => call.once("drain", resolve));
    report({ event: "pushed", count: i + 1 });
  }
  if (stay !== true) call.end();
}

function handle(call) {
  report({ event: "call" });
  let order = null;
  call.on("data", (message) => {
    if (order !== null) return void (order.echo === true && call.write(message));
    order = JSON.parse(message.toString());
    if (order.metadata === true) call.write(Buffer.from(JSON.stringify(call.metadata.getMap())));
    if (order.status !== undefined) fail(call, order.status, order.details ?? "");
    if (order.push !== undefined) push(call, order);
  });
  call.on("end", () => call.end());
  call.on("cancelled", () => report({ event: "cancelled" }));
  call.on("error", () => {});
}

const server = new grpc.Server({
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  ...options.channel,
});
server.addService({
  call: {
    path: "/peer/Call",
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
}, { call: handle });
const buffer = (text) => text === undefined ? null : Buffer.from(text);
const credentials = options.cert === undefined
  ? grpc.ServerCredentials.createInsecure()
  : grpc.ServerCredentials.createSsl(
    buffer(options.ca),
    [{ cert_chain: Buffer.from(options.cert), private_key: Buffer.from(options.key) }],
    options.ca !== undefined,
  );
server.bindAsync(`127.0.0.1:${options.port ?? 0}`, credentials, (error, port) => {
  if (error) throw error;
  report({ port });
});
// The test that started it is gone.
process.stdin.on("end", () => process.exit(0)).resume();

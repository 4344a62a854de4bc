/** The interoperability tests' server on grpc-js: `node server.mjs` prints `{"port": n}` and ends with its input. */
import grpc from "@grpc/grpc-js";
import { definitionOf, INITIAL, TRAILING } from "./service.mjs";

/** Sends the initial metadata that the client asked for, and gives the trailing. */
function echoMetadata(call) {
  const initial = call.metadata.get(INITIAL)[0];
  if (initial !== undefined) {
    const metadata = new grpc.Metadata();
    metadata.set(INITIAL, initial);
    call.sendMetadata(metadata);
  }
  const trailer = new grpc.Metadata();
  for (const value of call.metadata.get(TRAILING)) trailer.add(TRAILING, value);
  return trailer;
}

const payloadOf = (size) => ({ body: Buffer.alloc(size) });
const failure = ({ code, message }) => ({ code, details: message });
const sleep = (ms) => ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined;

async function answer(call, { responseParameters }) {
  for (const { size, intervalUs } of responseParameters) {
    await sleep(intervalUs / 1000);
    if (call.cancelled) return;
    call.write({ payload: payloadOf(size) });
  }
}

const service = {
  EmptyCall: (_call, done) => done(null, {}),
  UnaryCall(call, done) {
    const trailer = echoMetadata(call);
    const { responseStatus, responseSize } = call.request;
    if (responseStatus?.code) return done(failure(responseStatus));
    done(null, { payload: payloadOf(responseSize) }, trailer);
  },
  async StreamingOutputCall(call) {
    await answer(call, call.request);
    call.end();
  },
  StreamingInputCall(call, done) {
    let size = 0;
    call.on("data", ({ payload }) => size += payload.body.length);
    call.on("end", () => done(null, { aggregatedPayloadSize: size }));
    call.on("error", () => {});
  },
  FullDuplexCall(call) {
    const trailer = echoMetadata(call);
    let before = Promise.resolve();
    call.on("data", (request) => {
      before = before.then(() => {
        if (request.responseStatus?.code) call.emit("error", failure(request.responseStatus));
        else return answer(call, request);
      });
    });
    call.on("end", () => before.then(() => call.end(trailer)));
    call.on("error", () => {});
  },
};

// Neither the method nor the service that nobody implements.
const { UnimplementedCall: _unimplemented, ...definition } = definitionOf("TestService");
const server = new grpc.Server();
server.addService(definition, service);
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(JSON.stringify({ port }));
});
process.stdin.on("end", () => process.exit(0)).resume();

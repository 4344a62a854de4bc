/**
 * The interoperability tests' client on grpc-js: `node client.mjs PORT AUTHORITY VERSION CASE...` plays the cases one
 * after the other and prints a line for each, `CASE ok` or `CASE` and what was wrong. VERSION, unless it is `-`, is
 * sent as x-version with each call.
 */
import assert from "node:assert/strict";
import grpc from "@grpc/grpc-js";
import { definitionOf, INITIAL, TRAILING } from "./service.mjs";

const [, , port, authority, version, ...names] = process.argv;
const options = { "grpc.default_authority": authority, "grpc.enable_http_proxy": 0 };
const connect = (service) =>
  new (grpc.makeGenericClientConstructor(definitionOf(service), service))(
    `127.0.0.1:${port}`,
    grpc.credentials.createInsecure(),
    options,
  );
const client = connect("TestService");
const other = connect("UnimplementedService");

const zeros = (size) => ({ body: Buffer.alloc(size) });
const UNKNOWN = grpc.status.UNKNOWN;

function metadata(more = {}) {
  const result = new grpc.Metadata();
  if (version !== "-") result.set("x-version", version);
  for (const [name, value] of Object.entries(more)) result.set(name, value);
  return result;
}

/** What came of a call that answers once: its answer or error, its metadata and its status. */
function once(start) {
  return new Promise((resolve) => {
    const seen = {};
    const call = start((error, response) => Object.assign(seen, { error, response }));
    call.on("metadata", (m) => seen.initial = m);
    call.on("status", (status) => resolve({ ...seen, status }));
    seen.call = call;
  });
}

/** What came of a call that answers with a stream. */
function all(call, onMessage = () => {}) {
  return new Promise((resolve) => {
    const seen = { messages: [] };
    call.on("metadata", (m) => seen.initial = m);
    call.on("data", (message) => {
      seen.messages.push(message);
      onMessage(message, seen.messages.length);
    });
    call.on("error", () => {});
    call.on("status", (status) => resolve({ ...seen, status }));
  });
}

function checkZeros({ payload }, size) {
  assert.equal(payload.body.length, size);
  assert.ok(payload.body.every((byte) => byte === 0), "the payload is not all zeros");
}

function checkStatus({ status }, code, details) {
  assert.equal(status.code, code, status.details);
  if (details !== undefined) assert.equal(status.details, details);
}

const REQUESTS = [27182, 8, 1828, 45904];
const RESPONSES = [31415, 9, 2653, 58979];

async function unaryStatus(message) {
  const request = { responseStatus: { code: UNKNOWN, message } };
  checkStatus(await once((done) => client.UnaryCall(request, metadata(), done)), UNKNOWN, message);
}

const cases = {
  async empty_unary() {
    const seen = await once((done) => client.EmptyCall({}, metadata(), done));
    checkStatus(seen, 0);
    assert.deepEqual(Object.keys(seen.response), []);
  },
  async large_unary() {
    const request = { responseSize: 314159, payload: zeros(271828) };
    const seen = await once((done) => client.UnaryCall(request, metadata(), done));
    checkStatus(seen, 0);
    checkZeros(seen.response, 314159);
  },
  async client_streaming() {
    const seen = await once((done) => {
      const call = client.StreamingInputCall(metadata(), done);
      for (const size of REQUESTS) call.write({ payload: zeros(size) });
      call.end();
      return call;
    });
    checkStatus(seen, 0);
    assert.equal(seen.response.aggregatedPayloadSize, 74922);
  },
  async server_streaming() {
    const request = { responseParameters: RESPONSES.map((size) => ({ size })) };
    const seen = await all(client.StreamingOutputCall(request, metadata()));
    checkStatus(seen, 0);
    assert.equal(seen.messages.length, 4);
    seen.messages.forEach((message, i) => checkZeros(message, RESPONSES[i]));
  },
  async ping_pong() {
    const call = client.FullDuplexCall(metadata());
    const ask = (i) =>
      call.write({ responseParameters: [{ size: RESPONSES[i] }], payload: zeros(REQUESTS[i]) });
    ask(0);
    const seen = await all(call, (_message, count) => count < 4 ? ask(count) : call.end());
    checkStatus(seen, 0);
    assert.equal(seen.messages.length, 4);
    seen.messages.forEach((message, i) => checkZeros(message, RESPONSES[i]));
  },
  async empty_stream() {
    const call = client.FullDuplexCall(metadata());
    call.end();
    const seen = await all(call);
    checkStatus(seen, 0);
    assert.equal(seen.messages.length, 0);
  },
  async timeout_on_sleeping_server() {
    const call = client.FullDuplexCall(metadata(), { deadline: Date.now() + 1 });
    call.write({ payload: zeros(27182) });
    checkStatus(await all(call), grpc.status.DEADLINE_EXCEEDED);
  },
  async cancel_after_begin() {
    const seen = await once((done) => {
      const call = client.StreamingInputCall(metadata(), done);
      queueMicrotask(() => call.cancel());
      return call;
    });
    checkStatus(seen, grpc.status.CANCELLED);
  },
  async cancel_after_first_response() {
    const call = client.FullDuplexCall(metadata());
    call.write({ responseParameters: [{ size: 31415 }], payload: zeros(27182) });
    const seen = await all(call, () => call.cancel());
    checkStatus(seen, grpc.status.CANCELLED);
    assert.equal(seen.messages.length, 1);
  },
  async status_code_and_message() {
    const message = "test status message";
    await unaryStatus(message);
    const call = client.FullDuplexCall(metadata());
    call.write({ responseStatus: { code: UNKNOWN, message } });
    call.end();
    checkStatus(await all(call), UNKNOWN, message);
  },
  special_status_message: () =>
    unaryStatus("\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n"),
  async custom_metadata() {
    const more = { [INITIAL]: "test_initial_metadata_value", [TRAILING]: Buffer.from([0xab, 0xab, 0xab]) };
    const check = (seen) => {
      checkStatus(seen, 0);
      assert.deepEqual(seen.initial.get(INITIAL), [more[INITIAL]]);
      assert.deepEqual(seen.status.metadata.get(TRAILING).map((v) => v.toString("hex")), ["ababab"]);
    };
    const request = { responseSize: 314159, payload: zeros(271828) };
    check(await once((done) => client.UnaryCall(request, metadata(more), done)));
    const call = client.FullDuplexCall(metadata(more));
    call.write({ responseParameters: [{ size: 314159 }], payload: zeros(271828) });
    call.end();
    check(await all(call));
  },
  async unimplemented_method() {
    const seen = await once((done) => client.UnimplementedCall({}, metadata(), done));
    checkStatus(seen, grpc.status.UNIMPLEMENTED);
  },
  async unimplemented_service() {
    const seen = await once((done) => other.UnimplementedCall({}, metadata(), done));
    checkStatus(seen, grpc.status.UNIMPLEMENTED);
  },
};

for (const name of names) {
  try {
    await cases[name]();
    console.log(`${name} ok`);
  } catch (e) {
    console.log(`${name} ${e.message.replaceAll("\n", " ")}`);
  }
}
process.exit(0);

/**
 * A gRPC client (grpc-js) in a process of its own: `node client.mjs [ADDRESS:]PORT AUTHORITY CASE...` plays the cases one after the other and
 * prints what came of each as a line of JSON.
 */
import grpc from "@grpc/grpc-js";

const [, , port, authority, ...names] = process.argv;
const asIs = (bytes) => bytes;
const client = new grpc.Client(
  port.includes(":") ? port : `127.0.0.1:${port}`,
  grpc.credentials.createInsecure(),
  {
    "grpc.default_authority": authority,
    "grpc.enable_http_proxy": 0,
    "grpc.enable_retries": 0,
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  },
);
const order = (what, size = 0) => Buffer.from(JSON.stringify(what).padEnd(size));

/** A call that collects what comes; `end: false` leaves our side open. */
function play(what, options = {}) {
  const call = client.makeBidiStreamRequest(
    "/pair/Call",
    asIs,
    asIs,
    options.metadata ?? new grpc.Metadata(),
    {
      deadline: options.deadlineMs === undefined ? undefined : Date.now() + options.deadlineMs,
    },
  );
  const seen = { messages: 0, bytes: 0, code: -1, details: "" };
  const over = new Promise((resolve) => {
    call.on("metadata", (m) => seen.metadata = m.getMap());
    call.on("data", (message) => {
      seen.messages++;
      seen.bytes += message.length;
      seen.last = message.length < 2000 ? message.toString() : "";
      options.onMessage?.(call, seen);
    });
    call.on("error", () => {});
    call.on("status", ({ code, details, metadata }) => {
      seen.code = code;
      seen.details = details;
      seen.trailers = metadata.getMap();
      resolve(seen);
    });
  });
  call.write(order(what, options.size));
  if (options.end !== false) call.end();
  return { call, over };
}

/** Each call is known by a key, so that the server tells how often it got it. */
async function lanes(count) {
  const end = Date.now() + 2500;
  const seen = { ok: 0, failed: 0, twice: 0, codes: [], details: "" };
  await Promise.all(Array.from({ length: count }, async () => {
    while (Date.now() < end) {
      const { code, details, last } = await play({ failFirst: 0, key: String(Math.random()) }).over;
      if (code === 0 && last === "1") seen.ok++;
      else if (code === 0) seen.twice++;
      else {
        seen.failed++;
        seen.codes.push(code);
        seen.details = details;
      }
    }
  }));
  return seen;
}

const cases = {
  unary: () => play({ echo: true }).over,
  async metadata() {
    const metadata = new grpc.Metadata();
    metadata.set("x-one", "1");
    metadata.add("x-two", "a");
    metadata.add("x-two", "b");
    metadata.set("x-raw-bin", Buffer.from([1, 2, 254]));
    const seen = await play({ metadata: true }, { metadata }).over;
    return { ...seen, bin: [...(seen.trailers["x-bin"] ?? [])] };
  },
  trailersOnly: () => play({ status: 5, details: "not here" }).over,
  failAfter: () => play({ failAfter: 2 }).over,
  retried: () => play({ failFirst: 2, key: String(Math.random()) }).over,
  async pingPong() {
    const { over } = play({ echo: true }, {
      end: false,
      onMessage(call, { messages }) {
        if (messages < 50) call.write(Buffer.from(`message ${messages}`));
        else call.end();
      },
    });
    return await over;
  },
  serverStream: () => play({ count: 5000, bytes: 1000 }).over,
  async cancel() {
    const { call, over } = play({ hang: true }, { end: false });
    setTimeout(() => call.cancel(), 150);
    return await over;
  },
  async deadline() {
    const start = Date.now();
    return { ...await play({ hang: true }, { deadlineMs: 300 }).over, ms: Date.now() - start };
  },
  async agentsDeadline() {
    const start = Date.now();
    return { ...await play({ hang: true }).over, ms: Date.now() - start };
  },
  async thousand() {
    const calls = Array.from({ length: 1000 }, () => {
      let go;
      const first = new Promise((resolve) => go = resolve);
      return { ...play({ echo: true }, { end: false, onMessage: () => go() }), first };
    });
    // All of them are open at the same time.
    await Promise.all(calls.map((c) => c.first));
    for (const { call } of calls) call.end(Buffer.from("bye"));
    const results = await Promise.all(calls.map((c) => c.over));
    return {
      ok: results.filter((r) => r.code === 0 && r.messages === 2).length,
      first: results.find((r) => r.code !== 0),
    };
  },
  large: () => play({ echo: true }, { size: 30_000_000 }).over,
  /** Two calls whose answers nobody reads must not stop the others. */
  async stalled() {
    const stuck = [0, 1].map(() => {
      const call = client.makeBidiStreamRequest("/pair/Call", asIs, asIs, new grpc.Metadata(), {});
      call.on("error", () => {});
      call.on("metadata", () => call.pause());
      call.write(order({ count: 100, bytes: 100_000 }));
      return call;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const results = await Promise.all(
      Array.from({ length: 20 }, () => play({ count: 20, bytes: 10_000 }).over),
    );
    const ok = results.filter((r) => r.code === 0 && r.bytes === 200_000).length;
    for (const call of stuck) call.cancel();
    return { ok };
  },
  /** Calls one after the other on several lanes for some seconds. */
  steady: () => lanes(8),
  /** The same on one, so that the server has nothing to do at times. */
  lone: () => lanes(1),
};

for (const name of names) {
  const result = await cases[name]();
  console.log(JSON.stringify(result));
}
process.exit(0);

// A node:http2 peer in a process of its own. `server`: answers until its input ends, first line of output is the port.
// `client PORT`: plays a few exchanges and prints what it saw as one line of JSON.
import http2 from "node:http2";

const [, , role, port] = process.argv;

if (role === "server") {
  const server = http2.createServer();
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    const path = headers[":path"];
    if (path === "/reset") {
      stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    } else if (path === "/trailers") {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "grpc-message": "fine" }));
      stream.resume();
      stream.end("message");
    } else if (path === "/early") {
      stream.additionalHeaders({ ":status": 103, link: "</a>" });
      stream.respond({ ":status": 200 });
      stream.end();
    } else if (path.startsWith("/bytes/")) {
      stream.respond({ ":status": 200 });
      stream.end(Buffer.alloc(Number(path.slice(7)), 120));
    } else {
      stream.respond({ ":status": 200, "x-seen": headers["x-value"] ?? "" });
      stream.pipe(stream);
    }
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  process.stdin.resume();
  process.stdin.on("end", () => process.exit(0));
} else {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const play = (headers, body) =>
    new Promise((resolve) => {
      const request = session.request(headers, { endStream: body === undefined });
      const seen = { bytes: 0 };
      request.on("headers", (h) => seen.interim = h[":status"]);
      request.on("response", (h) => {
        seen.status = h[":status"];
        seen.type = h["content-type"];
      });
      request.on("trailers", (h) => seen.grpc = h["grpc-status"]);
      request.on("data", (piece) => seen.bytes += piece.length);
      request.on("error", (error) => seen.error = error.code);
      request.on("close", () => resolve(seen));
      if (body !== undefined) request.end(body);
    });
  const results = [];
  results.push(await play({ ":path": "/hello" }));
  results.push(
    await play(
      { ":path": "/echo", ":method": "POST", "x-long": "v".repeat(20_000) },
      Buffer.alloc(5_000_000),
    ),
  );
  results.push(await play({ ":path": "/trailers", ":method": "POST", te: "trailers" }, "m"));
  results.push(await play({ ":path": "/early" }));
  results.push(await play({ ":path": "/reset" }));
  const many = await Promise.all(
    Array.from(
      { length: 500 },
      (_, i) => play({ ":path": "/echo", ":method": "POST", "x-n": `${i}` }, "x".repeat(i)),
    ),
  );
  results.push({ many: many.filter((seen, i) => seen.status === 200 && seen.bytes === i).length });
  await new Promise((resolve) => session.ping(resolve));
  await new Promise((resolve) => session.close(resolve));
  console.log(JSON.stringify(results));
}

/** `serve`: an HTTP/2 server of node that prints its port. `play PORT`: a client of node with one of each kind of exchange. */
import http2 from "node:http2";

const [, , what, port] = process.argv;
if (what === "serve") {
  const server = http2.createServer();
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    const path = headers[":path"];
    if (path === "/echo") {
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    } else if (path === "/trailers") {
      stream.additionalHeaders({ ":status": 103, link: "</a>; rel=preload" });
      stream.respond({ ":status": 200, "x-long": "v".repeat(200) }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-trailer": "1", "grpc-status": "0" }));
      stream.end("body");
    } else if (path === "/reset") {
      stream.respond({ ":status": 200 });
      stream.write("half");
      setTimeout(() => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR), 20);
    } else {
      stream.respond({ ":status": path === "/none" ? 204 : 200, "content-type": "text/plain" }, {
        endStream: path === "/none",
      });
      if (path !== "/none") stream.end("hello");
    }
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
} else {
  const session = http2.connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 20_000 } });
  const call = (headers, body) =>
    new Promise((resolve) => {
      const stream = session.request(headers, { endStream: body === undefined });
      stream.on("error", () => {});
      stream.on("close", resolve);
      stream.resume();
      if (body !== undefined) stream.end(body);
    });
  await Promise.all([
    call({ ":path": "/a", "x-a": "1", cookie: ["a=b", "c=d"] }),
    call({ ":path": "/none" }),
  ]);
  await call({ ":path": "/echo", ":method": "POST", authorization: "secret" }, "e".repeat(9000));
  await call({ ":path": "/trailers", te: "trailers" });
  await call({ ":path": "/reset" });
  await new Promise((resolve) => session.ping(resolve));
  const given = session.request({ ":path": "/echo", ":method": "POST" });
  given.on("error", () => {});
  given.write("part");
  given.close(http2.constants.NGHTTP2_CANCEL);
  session.goaway();
  session.close();
}

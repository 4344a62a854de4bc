/**
 * An HTTP/2 server that leaves every connection after MS milliseconds as RFC 9113 section 6.8 advises: a first GOAWAY that still takes
 * every stream, 20 ms later the true one, and the end when the streams are done; or, with `at-once`, all of it at the same time.
 * `node leaving.mjs MS [at-once]` prints its port.
 */
import http2 from "node:http2";

const [, , ms, atOnce] = process.argv;
const EVERY_STREAM = 2 ** 31 - 1;
const NO_ERROR = http2.constants.NGHTTP2_NO_ERROR;

const server = http2.createServer({}, (_request, response) => {
  // So that some streams are under way whenever the time has come.
  setTimeout(() => response.end("done"), 5);
});
function leave(session) {
  if (session.destroyed) return;
  session.goaway(NO_ERROR);
  session.close();
}

server.on("session", (session) => {
  const leaving = setTimeout(() => {
    if (atOnce === "at-once") return leave(session);
    session.goaway(NO_ERROR, EVERY_STREAM);
    setTimeout(() => leave(session), 20);
  }, Number(ms));
  session.on("close", () => clearTimeout(leaving));
  session.on("error", () => {});
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

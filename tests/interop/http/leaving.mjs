/**
 * An HTTP/2 server that says GOAWAY on every connection each MS milliseconds and closes it when its streams are done:
 * `node leaving.mjs MS` prints its port, and then `goaway` each time.
 */
import http2 from "node:http2";

const sessions = new Set();
const server = http2.createServer({}, (_request, response) => {
  // Some streams are under way whenever the time has come.
  setTimeout(() => response.end("done"), 5);
});
server.on("session", (session) => {
  sessions.add(session);
  session.on("close", () => sessions.delete(session));
  session.on("error", () => {});
});
setInterval(() => {
  for (const session of sessions) {
    session.goaway(http2.constants.NGHTTP2_NO_ERROR);
    session.close();
    console.log("goaway");
  }
}, Number(process.argv[2]));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

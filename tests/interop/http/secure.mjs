/**
 * An HTTPS server for HTTP/2 and HTTP/1.1: `node secure.mjs NAME CERT_FILE KEY_FILE` prints its port and answers every request with
 * NAME, the protocol and the server name that the client asked for.
 */
import fs from "node:fs";
import http2 from "node:http2";

const [, , name, cert, key] = process.argv;
const server = http2.createSecureServer(
  { allowHTTP1: true, cert: fs.readFileSync(cert), key: fs.readFileSync(key) },
  (request, response) => {
    const socket = request.stream?.session?.socket ?? request.socket;
    response.end(`${name} ${request.httpVersion} ${socket.servername}\n`);
  },
);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

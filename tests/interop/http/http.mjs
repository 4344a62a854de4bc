/** An HTTP/1.1 server: answers every request with 100 bytes. Prints its port. */
import http from "node:http";

const body = "x".repeat(100);
const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  request.resume();
  response.writeHead(200, { "content-type": "text/plain", "content-length": body.length });
  response.end(body);
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => console.log(server.address().port));

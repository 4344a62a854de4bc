import assert from "node:assert/strict";
import { bytes, exchange, Side } from "./connection_fixture_test.ts";

const REQUEST = "GET /hello?x=1 HTTP/1.1\r\nHost: a.test:80\r\nUser-Agent: t\r\nConnection: close\r\n\r\n";

for (const piece of [1, 7, 100000]) {
  Deno.test(`a GET both ways, read ${piece} bytes at a time`, () => {
    const client = new Side("client");
    const server = new Side("server");
    server.handler.onHeaders = (stream) => {
      server.connection.respond(
        stream,
        bytes("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"),
        false,
      );
      assert.equal(server.connection.sendData(stream, bytes("hello"), 0, 5, true), 5);
    };
    exchange(client, server, piece);
    for (let i = 0; i < 4; i++) {
      client.handler.said();
      server.handler.said();
      const stream = client.connection.request(bytes(REQUEST), true)!;
      exchange(client, server, piece);
      const { id } = stream;
      assert.equal(id, 2 * i + 1);
      assert.deepEqual(server.handler.said(), [
        `headers ${id} ${
          JSON.stringify("GET /hello?x=1 HTTP/1.1\r\nhost: a.test:80\r\nuser-agent: t\r\n\r\n")
        } end`,
      ]);
      const said = client.handler.said();
      assert.equal(
        said[0],
        `headers ${id} ${
          JSON.stringify("HTTP/1.1 200 \r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\n")
        }`,
      );
      assert.equal(client.handler.bodies.get(id), 5);
      assert.equal(said.at(-1)!.endsWith(" end"), true);
      assert.equal(stream.closed, true);
      assert.equal(client.connection.streams.size + server.connection.streams.size, 0);
    }
  });
}

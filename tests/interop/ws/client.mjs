/**
 * A WebSocket client (ws): `node client.mjs upgrade|connect|http2-connect|http2-upgrade PROXY_PORT AUTHORITY` sends 1,000 messages of 0 to 1 MB,
 * 8 under way, compares each echo, closes, and prints how many bytes came back and the close code.
 */
import http from "node:http";
import http2 from "node:http2";
import { WebSocket } from "ws";

const [, , way, proxyPort, authority] = process.argv;
const proxy = { host: "127.0.0.1", port: Number(proxyPort) };

/** Reaches the host through CONNECT. */
class Tunnel extends http.Agent {
  createConnection(_options, done) {
    http.request({ ...proxy, method: "CONNECT", path: authority })
      .on(
        "connect",
        ({ statusCode }, socket) =>
          statusCode === 200 ? done(null, socket) : done(new Error(`CONNECT: ${statusCode}`)),
      )
      .on("error", done)
      .end();
  }
}

/** A stream of an HTTP/2 connection to the proxy that became a tunnel. */
async function openStream(headers) {
  const session = http2.connect(`http://${proxy.host}:${proxy.port}`);
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  const stream = session.request({ ":method": "CONNECT", ":authority": authority, ...headers }, {
    endStream: false,
  });
  const answer = await new Promise((resolve, reject) =>
    stream.once("response", resolve).once("error", reject)
  );
  if (answer[":status"] !== 200) throw new Error(`CONNECT: ${answer[":status"]}`);
  return stream;
}

async function open() {
  switch (way) {
    case "connect":
      return new WebSocket(`ws://${authority}/echo`, { agent: new Tunnel() });
    case "http2-connect": {
      const stream = await openStream({});
      return new WebSocket(`ws://${authority}/echo`, { createConnection: () => stream });
    }
    case "http2-upgrade": {
      const stream = await openStream({
        ":protocol": "websocket",
        ":scheme": "http",
        ":path": "/echo",
        "sec-websocket-version": "13",
      });
      // The handshake is done: ws takes over as the client that it would be after its own.
      const socket = new WebSocket(null, undefined, { closeTimeout: 30_000 });
      socket._isServer = false;
      setImmediate(() =>
        socket.setSocket(stream, Buffer.alloc(0), {
          allowSynchronousEvents: true,
          maxPayload: 0,
          skipUTF8Validation: false,
        })
      );
      return socket;
    }
    default:
      return new WebSocket(`ws://${proxy.host}:${proxy.port}/echo`, { headers: { Host: authority } });
  }
}

const socket = await open();

const COUNT = 1000;
/** Small ones mostly; the last is 1 MB. Every other one is text. */
const message = (i) => {
  const size = Math.round(1_000_000 * (i / (COUNT - 1)) ** 6);
  return i % 2 === 0 ? Buffer.alloc(size, `${i} `) : Buffer.alloc(size, `${i} `).toString();
};

let sent = 0;
let received = 0;
let bytes = 0;
const send = () => sent < COUNT && socket.send(message(sent++));
socket.on("open", () => {
  for (let i = 0; i < 8; i++) send();
});
socket.on("message", (data, isBinary) => {
  const wanted = message(received++);
  if (isBinary !== Buffer.isBuffer(wanted)) throw new Error(`message ${received} is of another kind`);
  if (!data.equals(Buffer.from(wanted))) throw new Error(`message ${received} came back changed`);
  bytes += data.length;
  if (received === COUNT) socket.close(1000);
  else send();
});
socket.on("close", (code) => {
  console.log(`${received} messages, ${bytes} bytes, closed with ${code}`);
  process.exit(0);
});

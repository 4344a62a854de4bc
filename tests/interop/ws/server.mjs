/** A WebSocket server (ws) that sends every message back: `node server.mjs` prints its port. */
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
server.on("listening", () => console.log(server.address().port));
server.on(
  "connection",
  (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
);

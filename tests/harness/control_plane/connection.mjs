/**
 * One accepted TCP connection, with the HTTP/2 server on one side and the socket on the other. It looks at the frames that pass
 * (pings are counted as grpc-go counts them) and can write slowly or break off in the middle of a message.
 */
import { Duplex } from "node:stream";

const PREFACE_BYTES = 24;
const FRAME = { DATA: 0, HEADERS: 1, PING: 6 };
const ACK = 1;
/** grpc-go's default enforcement, which Pilot up to 1.0 left as it is. */
const PING_INTERVAL_MS = 5 * 60_000;
const PING_STRIKES = 2;

export class Connection extends Duplex {
  #socket;
  #options;
  #strikes = 0;
  #lastPingMs = -Infinity;
  #bytesPerTurn = Infinity;
  #bytesLeft = Infinity;
  #incoming;
  #outgoing;

  /** `options`: pingLimit (boolean), report(event). */
  constructor(socket, options) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#options = options;
    this.#incoming = new FrameHeads(PREFACE_BYTES, (type, flags) => {
      if (type === FRAME.PING && (flags & ACK) === 0) this.#pinged();
    });
    this.#outgoing = new FrameHeads(0, (type) => {
      if (type === FRAME.DATA || type === FRAME.HEADERS) this.#strikes = 0;
    });
    socket.on("data", (bytes) => {
      this.#incoming.feed(bytes);
      if (!this.push(bytes)) socket.pause();
    });
    socket.on("end", () => this.push(null));
    socket.on("error", () => this.destroy());
    socket.on("close", () => this.destroy());
  }

  /** At most so many bytes in one turn of the event loop; Infinity = as fast as it goes. */
  trickle(bytesPerTurn) {
    this.#bytesPerTurn = bytesPerTurn;
  }

  /** Resets the connection once so many more bytes went out. */
  cutAfter(bytes) {
    this.#bytesLeft = bytes;
  }

  cut() {
    this.#socket.resetAndDestroy();
  }

  _read() {
    this.#socket.resume();
  }

  _write(chunk, _encoding, done) {
    this.#outgoing.feed(chunk);
    this.#writeFrom(chunk, 0, done);
  }

  #writeFrom(chunk, at, done) {
    if (this.#socket.destroyed) return done();
    const count = Math.min(chunk.length - at, this.#bytesPerTurn, this.#bytesLeft);
    this.#socket.write(chunk.subarray(at, at + count), () => {
      this.#bytesLeft -= count;
      if (this.#bytesLeft === 0) {
        this.#options.report({ kind: "cut" });
        this.cut();
        return done();
      }
      if (at + count === chunk.length) return done();
      setTimeout(() => this.#writeFrom(chunk, at + count, done), 1);
    });
  }

  // An error of this stream while a write waits makes Node's HTTP/2 server abort the process (JSStreamSocket): it just closes.
  _final(done) {
    this.#socket.end(() => done());
  }

  _destroy(_error, done) {
    this.#socket.destroy();
    done(null);
  }

  #pinged() {
    const nowMs = performance.now();
    if (nowMs - this.#lastPingMs < PING_INTERVAL_MS) this.#strikes++;
    this.#lastPingMs = nowMs;
    this.#options.report({ kind: "ping", strikes: this.#strikes });
    if (!this.#options.pingLimit || this.#strikes <= PING_STRIKES) return;
    this.#options.report({ kind: "goaway", reason: "too_many_pings" });
    this.#socket.write(goaway(11, "too_many_pings"), () => this.#socket.destroy());
  }
}

/** The frame that ends a connection: 11 is ENHANCE_YOUR_CALM. */
function goaway(errorCode, text) {
  const frame = Buffer.alloc(9 + 8 + text.length);
  frame.writeUIntBE(8 + text.length, 0, 3);
  frame[3] = 7;
  frame.writeUInt32BE(0x7fffffff, 9);
  frame.writeUInt32BE(errorCode, 13);
  frame.write(text, 17);
  return frame;
}

/** Tells type and flags of every HTTP/2 frame in a stream of bytes that comes in any pieces. */
class FrameHeads {
  #skip;
  #head = [];
  #tell;

  constructor(skip, tell) {
    this.#skip = skip;
    this.#tell = tell;
  }

  feed(bytes) {
    for (let at = 0; at < bytes.length;) {
      if (this.#skip > 0) {
        const count = Math.min(this.#skip, bytes.length - at);
        this.#skip -= count;
        at += count;
        continue;
      }
      this.#head.push(bytes[at++]);
      if (this.#head.length < 9) continue;
      const [a, b, c, type, flags] = this.#head;
      this.#skip = (a << 16) | (b << 8) | c;
      this.#head = [];
      this.#tell(type, flags);
    }
  }
}

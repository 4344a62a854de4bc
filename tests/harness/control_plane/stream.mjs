/** One discovery stream: turns the plane's answers into messages, keeps what was sent, and holds them back when told to. */
import { decodeRequest, emptyResource, encodeResponse, typeUrlOf } from "./messages.mjs";
import { TYPES } from "./store.mjs";

export class Stream {
  /** Type -> what the client watches; absent = never asked for. Each temper keeps its own fields in it. */
  watched = new Map();
  open = true;
  #call;
  #plane;
  #queue = [];

  /** `plane`: store, temper, gate, report(event), nextNonce(). */
  constructor(id, call, delta, plane) {
    this.id = id;
    this.delta = delta;
    this.#call = call;
    this.#plane = plane;
    call.on("data", (bytes) => this.#received(bytes));
    call.on("end", () => {
      this.#closed("half-closed by the client");
      call.end();
    });
    call.on("cancelled", () => this.#closed("cancelled"));
    call.on("error", () => this.#closed("error"));
  }

  get store() {
    return this.#plane.store;
  }

  #received(bytes) {
    const { generation } = this.#plane.temper;
    const request = decodeRequest(bytes, this.delta, generation);
    this.#plane.report({ kind: "request", stream: this.id, ...request });
    this.#plane.temper.receive(this, request);
  }

  /** Told to the client now: a push of what changed. */
  push(change) {
    if (this.open) this.#plane.temper.push(this, change);
  }

  /** Answers with these names; a name that the store lacks comes without content. */
  answer(type, names, removed = []) {
    const resources = names.map((name) => this.store.get(type, name) ?? emptyResource(name));
    this.respond(type, resources, removed);
  }

  respond(type, resources, removed = []) {
    const response = {
      version: this.store.version,
      typeUrl: typeUrlOf(this.#plane.temper.generation, type),
      nonce: this.#plane.nextNonce(),
      resources,
      removed,
    };
    const watched = this.watched.get(type);
    if (watched !== undefined) watched.nonce = response.nonce;
    this.write(encodeResponse(response, this.delta), {
      type,
      version: response.version,
      nonce: response.nonce,
      names: resources.map((r) => r.name),
      removed,
    });
  }

  /** Sends bytes as they are; `about` is reported once they left. */
  write(bytes, about) {
    this.#queue.push({ bytes, about });
    this.flush();
  }

  /** Sends what no gate holds back, in order. */
  flush() {
    while (this.open && this.#queue.length > 0 && !this.#plane.gate.has(this.#queue[0].about.type)) {
      const { bytes, about } = this.#queue.shift();
      this.#call.write(bytes);
      this.#plane.report({ kind: "response", stream: this.id, bytes: bytes.length, ...about });
    }
  }

  /** Ends the call; code 0 is the regular end of a stream that lived long enough. */
  end(code, details) {
    if (!this.open) return;
    this.#closed(`ended with ${code}: ${details}`);
    if (code === 0) this.#call.end();
    else this.#call.emit("error", { code, details });
  }

  #closed(reason) {
    if (!this.open) return;
    this.open = false;
    this.#plane.report({ kind: "closed", stream: this.id, reason });
  }
}

/** Types in `order` that the client watches. */
export function watchedTypes(stream, order = TYPES) {
  return order.filter((type) => stream.watched.has(type));
}

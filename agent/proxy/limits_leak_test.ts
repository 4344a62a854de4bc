/** However an exchange ends, what it took of the cluster's limits is given back. */
import assert from "node:assert/strict";
import type { Cluster, Route } from "../model/model.ts";
import { REFUSED_STREAM } from "../wire/http2/problems.ts";
import { Client, Server } from "./h2_fixture_test.ts";
import { GET, type MemoryStream, type Rig, rig, send, settle } from "./proxy_fixture_test.ts";

// Else the first request of HTTP/2 would wait for the disk.
await Promise.all([import("./h2_attempt.ts"), import("./h2_downstream.ts")]);

interface Far {
  readonly stream: MemoryStream;
  /** Null in HTTP/1.1. */
  readonly server: Server | null;
}

interface Play {
  readonly r: Rig;
  readonly far: Far[];
  readonly dialing: PromiseWithResolvers<void>;
  ask(text?: string): Promise<MemoryStream>;
  /** Answers what the newest connection was asked last. */
  answer(text: string): Promise<void>;
}

const POST = "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 9\r\n\r\nhalf";
const NOTHING = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/** The body of which does not come. */
const BEGUN = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
const BUSY = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";

function play(http2: boolean, own: Partial<Cluster["circuitBreakers"] & object>, slowDial: boolean): Play {
  const far: Far[] = [];
  const dialing = Promise.withResolvers<void>();
  const r = rig({
    cluster: {
      circuitBreakers: { maxConnections: 2, maxPendingRequests: 3, maxRequests: 3, maxRetries: 3, ...own },
      httpProtocolOptions: { protocol: http2 ? "HTTP2" : "HTTP1", maxConcurrentStreams: 1 },
    },
    route: {
      timeout: "5s",
      retryPolicy: {
        retryOn: "5xx,reset,connect-failure",
        numRetries: 2,
        perTryTimeout: "2s",
        retryBackOff: { baseInterval: "0.5s" },
      },
    } as Partial<Route["route"] & object>,
    limits: { maxConnections: 50 },
    upstream: (stream) => void far.push({ stream, server: http2 ? new Server(stream) : null }),
    ...slowDial ? { dialing: dialing.promise } : {},
  });
  return {
    r,
    far,
    dialing,
    async ask(text = GET) {
      const client = r.client();
      send(client, text);
      await settle();
      // From here on it is noticed when the client goes away.
      await r.clock.advance(200);
      return client;
    },
    async answer(text) {
      const { stream, server } = far.at(-1)!;
      if (server === null) send(stream, text);
      else {
        const bytes = new TextEncoder().encode(text);
        server.connection.respond(server.requests.at(-1)!, bytes, text !== BEGUN);
        server.flush();
      }
      await settle();
    },
  };
}

const CASES: readonly {
  readonly what: string;
  readonly own?: Cluster["circuitBreakers"];
  readonly slowDial?: true;
  play(p: Play): Promise<void>;
}[] = [
  {
    what: "clients leave while their connection is dialled",
    slowDial: true,
    async play({ ask, dialing }) {
      for (const client of [await ask(), await ask()]) client.close();
      await settle();
      dialing.resolve();
    },
  },
  {
    what: "the dial fails, again and again",
    slowDial: true,
    async play({ ask, dialing }) {
      await ask();
      dialing.reject(new Error("refused"));
    },
  },
  {
    what: "the dial takes longer than the route",
    slowDial: true,
    async play({ ask, r, dialing }) {
      await ask();
      await r.clock.advance(6_000);
      dialing.resolve();
    },
  },
  {
    what: "clients leave the queue, and those before it",
    own: { maxConnections: 1 },
    async play({ ask }) {
      const clients = [await ask(), await ask(), await ask()];
      clients[1]!.close();
      await settle();
      clients[0]!.close();
      await settle();
      clients[2]!.close();
    },
  },
  {
    what: "one too many in every way",
    own: { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1 },
    async play({ ask, answer }) {
      for (let i = 0; i < 4; i++) await ask();
      await answer(NOTHING);
    },
  },
  {
    what: "tries that time out",
    async play({ ask }) {
      await ask();
    },
  },
  {
    what: "a client leaves in a backoff",
    async play({ ask, answer, r }) {
      const client = await ask();
      await answer(BUSY);
      assert.equal([...r.proxy.limits().values()][0]!.retries, 1);
      client.close();
    },
  },
  {
    what: "an answer that is 503 each time",
    async play({ ask, answer, r }) {
      await ask();
      for (let i = 0; i < 3; i++) {
        await answer(BUSY);
        await r.clock.advance(600);
      }
    },
  },
  {
    what: "an upstream that breaks off in the middle of its answer",
    async play({ ask, answer, far }) {
      await ask();
      await answer(BEGUN);
      far.at(-1)!.stream.close();
    },
  },
  {
    what: "a client that leaves in the middle of its body",
    async play({ ask }) {
      (await ask(POST)).close();
    },
  },
  {
    what: "a body that goes on after the answer",
    async play({ ask, answer }) {
      const client = await ask(POST);
      await answer("HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n");
      send(client, "other");
    },
  },
  {
    what: "streams that are refused",
    async play({ ask, far }) {
      await ask();
      for (let i = 0; i < 12; i++) {
        const { server, stream } = far.at(-1)!;
        const last = server?.requests.at(-1);
        if (server === null) stream.close();
        else if (last !== undefined && !last.closed) server.connection.reset(last, REFUSED_STREAM);
        server?.flush();
        await settle();
      }
    },
  },
  {
    what: "a client of HTTP/2 resets all of its streams at once",
    async play({ r }) {
      const client = new Client(r.client());
      const streams = Array.from({ length: 5 }, () => client.request("GET / HTTP/1.1\r\nhost: svc\r\n\r\n"));
      for (let i = 0; i < 5; i++) await settle();
      for (const stream of streams) client.connection.reset(stream, 8);
      client.flush();
    },
  },
  {
    what: "an upgrade, and a tunnel",
    async play({ ask, far }) {
      const upgrade = await ask(
        "GET / HTTP/1.1\r\nHost: svc\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      );
      const { server, stream } = far.at(-1)!;
      if (server === null) {
        send(stream, "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      }
      await settle();
      const tunnel = await ask("CONNECT svc:80 HTTP/1.1\r\nHost: svc:80\r\n\r\n");
      upgrade.close();
      tunnel.close();
      await settle();
      for (const { stream } of far) stream.close();
    },
  },
  {
    what: "the agent drains",
    own: { maxConnections: 1 },
    async play({ ask, r }) {
      await ask();
      await ask();
      void r.proxy.drain(1_000);
    },
  },
];

for (const { what, own, slowDial, play: run } of CASES) {
  for (const http2 of [false, true]) {
    Deno.test(`${http2 ? "HTTP/2" : "HTTP/1.1"}: limits are given back: ${what}`, async () => {
      const p = play(http2, own ?? {}, slowDial === true);
      await p.ask();
      p.dialing.promise.catch(() => {});
      const limits = [...p.r.proxy.limits().values()][0]!;
      if (slowDial === undefined) await p.answer(NOTHING);
      await run(p);
      await p.r.clock.advance(30_000);
      const { pending, starting, requests, retries } = limits;
      assert.deepEqual({ pending, starting, requests, retries }, {
        pending: 0,
        starting: 0,
        requests: 0,
        retries: 0,
      });
      assert.equal(p.r.proxy.stats().inFlight, 0);
      p.r.proxy.close();
      await settle();
    });
  }
}

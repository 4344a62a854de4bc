/** The demo's upstreams: each answers JSON that says who it is and what it saw. */

export interface DemoUpstream {
  readonly version: string;
  readonly hostname: string;
  readonly port: number;
  close(): Promise<void>;
}

/** What a demo upstream answers. */
export interface DemoAnswer {
  readonly version: string;
  /** `127.0.0.1:8081` */
  readonly instance: string;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Throws what Deno.serve throws when the port is taken. */
export function serveDemoUpstream(version: string, hostname: string, port: number): DemoUpstream {
  const server = Deno.serve({ hostname, port, onListen: () => {} }, async (request: Request) => {
    const at = request.url.indexOf("/", request.url.indexOf("://") + 3);
    const answer: DemoAnswer = {
      version,
      instance: `${hostname}:${server.addr.port}`,
      method: request.method,
      path: at < 0 ? "/" : request.url.slice(at),
      host: request.headers.get("host") ?? "",
      headers: Object.fromEntries(request.headers),
    };
    await request.body?.cancel();
    return new Response(JSON.stringify(answer, null, 2) + "\n", {
      headers: { "content-type": "application/json", "x-demo-version": version },
    });
  });
  return {
    version,
    hostname,
    port: server.addr.port,
    close: () => server.shutdown(),
  };
}

/**
 * What a service tells systemd (sd_notify(3)): datagrams to the unix socket that NOTIFY_SOCKET names.
 *
 * The runtime has datagram sockets of unix only with a path of their own (unstable `net`; Deno 2.6 and 2.9), so one is bound in
 * RUNTIME_DIRECTORY or /tmp and its path removed at once. It cannot send to an abstract socket (`@...`), which systemd gives only
 * where /run is not mounted: that is told once, and then there is no notification.
 *
 * @example
 * ```ts ignore
 * const systemd = openSystemd(Deno.env.get("NOTIFY_SOCKET"), ["/run/mesh-agent", "/tmp"], log);
 * systemd?.tell("READY=1");
 * await systemd?.close();
 * ```
 */
import { diagnostic, formatDiagnostic } from "../core/diagnostics.ts";
import type { Log } from "../core/ports.ts";

export interface Systemd {
  /** Lines of `NAME=VALUE`. Sent in order; never throws: what fails is told once. */
  tell(...lines: readonly string[]): void;
  /** Resolves when everything is sent. */
  close(): Promise<void>;
}

/** Undefined when nobody wants to be told. `directories`: where a socket may be bound, in order. */
export function openSystemd(
  socket: string | undefined,
  directories: readonly string[],
  log: Log,
): Systemd | undefined {
  if (socket === undefined || socket === "") return undefined;
  const fail = (state: string): void => {
    const message = `Cannot tell systemd at "${socket}": ${state}`;
    log.log(
      "warn",
      formatDiagnostic(diagnostic("N120", message, { kind: "variable", field: "NOTIFY_SOCKET" })),
    );
  };
  if (!socket.startsWith("/")) {
    fail("the runtime cannot send to an abstract socket; want a path");
    return undefined;
  }
  const own = bindIn(directories);
  if (typeof own === "string") {
    fail(own);
    return undefined;
  }
  const encoder = new TextEncoder();
  let failed = false;
  let sending: Promise<unknown> = Promise.resolve();
  return {
    tell(...lines) {
      sending = sending
        .then(() => own.send(encoder.encode(lines.join("\n")), { transport: "unixpacket", path: socket }))
        .catch((error: unknown) => {
          if (!failed) fail(error instanceof Error ? error.message : String(error));
          failed = true;
        });
    },
    async close() {
      await sending;
      own.close();
    },
  };
}

/** A bound socket, or why there is none. */
function bindIn(directories: readonly string[]): Deno.DatagramConn | string {
  // Without the unstable feature the runtime has no such function.
  if (typeof Deno.listenDatagram !== "function") {
    return "the runtime has no datagram sockets; want --unstable-net";
  }
  let state = "there is no directory for a socket";
  for (const directory of directories) {
    const path = `${directory}/.mesh-agent-${crypto.randomUUID()}`;
    try {
      const socket = Deno.listenDatagram({ transport: "unixpacket", path });
      Deno.removeSync(path);
      return socket;
    } catch (error) {
      state = error instanceof Error ? error.message : String(error);
    }
  }
  return `no socket can be made in ${
    directories.join(" or ")
  } (${state}); want a directory that is written to`;
}

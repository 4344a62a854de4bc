/**
 * Inbound traffic: the agent in front of the local application. Each service port is a listener on the workload's address with a proxy of
 * its own (proxy.ts, or local_ports.ts for TCP) whose world has one route: to the application.
 *
 * In: service ports, and a way to listen. Out: a {@link RunningInbound}. Nothing of it depends on rules or control planes, and nothing of
 * it is seen by outbound traffic: the workload's own address stays a destination like any other.
 *
 * @example
 * ```ts ignore
 * const inbound = startInbound({ ...ports, config, listen: listenTcp, checks });
 * inbound.open({ protocol: "rest", port: 8084, localPort: 8084 }, "settings"); // 10.0.0.5:8084 -> 127.0.0.1:8084
 * await inbound.drain(10_000);
 * ```
 */
import { normalAddress } from "../core/ip.ts";
import type { Listener } from "../core/ports.ts";
import type { World } from "../discovery/types.ts";
import { createWorldHolder } from "../discovery/world.ts";
import type { ApplicationPort } from "../model/model.ts";
import type { ListenAddress, ServicePort } from "../settings/types.ts";
import { ApplicationCheck } from "./inbound_check.ts";
import { APPLICATION_ADDRESS, inboundCluster, type InboundPort, inboundProgram } from "./inbound_port.ts";
import { startLocalPorts } from "./local_ports.ts";
import { createContext, type ProxyOptions, startProxy } from "./proxy.ts";
import { BufferPool } from "./buffers.ts";
import { addressText } from "./exchange.ts";

export interface InboundOptions
  extends Omit<ProxyOptions, "listener" | "grpcListener" | "localPorts" | "world" | "inbound"> {
  /** Throws what is to be told when the address cannot be had. */
  readonly listen: (address: ListenAddress) => Listener;
}

/** A service port, for the status. */
export interface InboundStatus {
  /** Where it listens: `10.0.0.5:8084`. */
  readonly address: string;
  readonly protocol: ServicePort["protocol"];
  /** `127.0.0.1:8084` */
  readonly application: string;
  /** `settings`, or the listener of a control plane. */
  readonly from: string;
  /** Of the application: why its check fails. */
  readonly check: "none" | "pending" | "passing" | "failing";
  readonly reason?: string;
  /** Why it is not open. */
  readonly closed?: string;
}

export interface RunningInbound {
  /** Listens; throws what `listen` throws. */
  open(port: ServicePort, from: string): ListenAddress;
  /**
   * Opens and closes the ports of a control plane, next to those of the settings, which win. What cannot be listened on is told and tried
   * again with the next program. Undefined = it names none.
   */
  follow(ports: ReadonlyMap<string, ApplicationPort> | undefined): void;
  status(): readonly InboundStatus[];
  /** What decides about a port; undefined for one that is not open. */
  worldOf(port: number): World | undefined;
  /** No new connections; what runs may end, at the deadline it is cut. */
  drain(deadlineMs: number): Promise<void>;
  close(): void;
}

interface Running {
  drain(deadlineMs: number): Promise<void>;
  close(): void;
}

interface Opened {
  readonly port: ServicePort;
  readonly address: ListenAddress;
  readonly from: string;
  readonly world: World;
  readonly check: ApplicationCheck | undefined;
  readonly running: Running;
}

/** Throws MeshError S103 for a check that cannot be made. */
export function startInbound(options: InboundOptions): RunningInbound {
  const { config, dialer, clock, log } = options;
  const buffers = new BufferPool();
  const checks = new Map(
    (config.inbound?.healthChecks ?? []).map((check) =>
      [check.port, new ApplicationCheck(check, { dialer, clock, log, buffers })] as const
    ),
  );
  const opened = new Map<number, Opened>();
  /** Of a control plane, and not to be had: name -> as the status shows it. */
  const closed = new Map<string, InboundStatus>();
  const draining = new Set<Running>();
  let followed: ReadonlyMap<string, ApplicationPort> | undefined;
  const started = new Set<ApplicationCheck>();
  const closeAll = (): void => {
    for (const check of checks.values()) check.close();
    for (const { running } of [...opened.values(), ...[...draining].map((running) => ({ running }))]) {
      running.close();
    }
  };
  const own = normalAddress(config.workload.instanceIp);
  const isHere = ({ address }: ApplicationPort): boolean => {
    const normal = normalAddress(address);
    return normal === own || normal === "0.0.0.0" || normal === "::";
  };
  const stop = (port: number, { running, address }: Opened): void => {
    opened.delete(port);
    log.log("info", `service port ${addressText(address)} closes: the control plane names it no more`);
    draining.add(running);
    running.drain(config.proxy.drainMs).then(() => draining.delete(running));
  };
  const inbound: RunningInbound = {
    follow(ports) {
      if (ports === undefined && followed === undefined || ports === followed && closed.size === 0) return;
      followed = ports;
      const before = new Map(closed);
      closed.clear();
      const wanted = new Map<string, ServicePort>();
      const refuse = (name: string, port: ServicePort, why: string): void => {
        closed.set(name, {
          address: addressText({ hostname: config.workload.instanceIp, port: port.port }),
          protocol: port.protocol,
          application: `${APPLICATION_ADDRESS}:${port.localPort}`,
          from: name,
          check: "none",
          closed: why,
        });
        if (before.get(name)?.closed !== why) {
          log.log("warn", `service port ${port.port} of listener ${name} is not taken: ${why}`);
        }
      };
      for (const [name, told] of ports ?? []) {
        const { localPort, refused } = told;
        if (!isHere(told) || opened.get(told.port)?.from === "settings") continue;
        const port: ServicePort = { protocol: PROTOCOLS[told.protocol], port: told.port, localPort };
        if (refused !== undefined) refuse(name, port, refused);
        else wanted.set(name, port);
      }
      for (const [number, one] of opened) {
        if (one.from === "settings") continue;
        const next = wanted.get(one.from);
        const { protocol, port, localPort } = one.port;
        if (next?.port === port && next.protocol === protocol && next.localPort === localPort) {
          wanted.delete(one.from);
        } else stop(number, one);
      }
      for (const [name, port] of wanted) {
        try {
          inbound.open(port, name);
        } catch (error) {
          refuse(name, port, error instanceof Error ? error.message : String(error));
        }
      }
    },
    open(port, from) {
      const listener = options.listen({ hostname: config.workload.instanceIp, port: port.port });
      const { address } = listener;
      const check = checks.get(port.localPort);
      const gate: InboundPort = {
        protocol: port.protocol,
        cluster: inboundCluster(address.port),
        localPort: port.localPort,
        failing: () => check === undefined ? null : check.failing,
      };
      const holder = createWorldHolder(clock);
      holder.publish({ program: inboundProgram(gate, address.port), diagnostics: [], stats: {} });
      const here = { ...options, world: holder, inbound: gate };
      const running = port.protocol === "tcp" ? startTcp(here, listener) : startProxy({ ...here, listener });
      opened.set(address.port, { port, address, from, world: holder.current, check, running });
      if (check !== undefined && !started.has(check)) {
        started.add(check);
        check.start();
      }
      log.log(
        "info",
        `service port ${
          addressText(address)
        } (${port.protocol}) leads to ${APPLICATION_ADDRESS}:${port.localPort}`,
      );
      return address;
    },
    status: () => [
      ...[...opened.values()].map(({ port, address, from, check }): InboundStatus => ({
        address: addressText(address),
        protocol: port.protocol,
        application: `${APPLICATION_ADDRESS}:${port.localPort}`,
        from,
        check: check === undefined
          ? "none"
          : check.checks === 0
          ? "pending"
          : check.failing === null
          ? "passing"
          : "failing",
        ...(check === undefined || check.failing === null ? {} : { reason: check.failing }),
      })),
      ...closed.values(),
    ],
    worldOf: (port) => opened.get(port)?.world,
    async drain(deadlineMs) {
      await Promise.all([...opened.values()].map(({ running }) => running.drain(deadlineMs)));
      closeAll();
    },
    close: closeAll,
  };
  return inbound;
}

const PROTOCOLS = { http: "rest", http2: "grpc", tcp: "tcp" } as const;

/** As a proxy has it, for a port of TCP. */
function startTcp(options: Parameters<typeof createContext>[0], listener: Listener): Running {
  const context = createContext(options);
  const { localPort } = options.inbound!;
  const ports = startLocalPorts(context, [{ listener, host: APPLICATION_ADDRESS, port: localPort }]);
  const close = (): void => {
    context.draining = true;
    ports.close();
    for (const tunnel of context.tunnels) tunnel.close();
    context.clusters.close();
    context.deadlines.close();
  };
  return {
    async drain(deadlineMs) {
      context.draining = true;
      ports.stop();
      await new Promise<void>((resolve) => {
        const stop = options.clock.after(deadlineMs, resolve);
        ports.whenIdle().then(() => {
          stop();
          resolve();
        });
      });
      close();
    },
    close,
  };
}

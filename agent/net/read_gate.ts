/**
 * Fairness between connections. With more than about 128 sockets ready in one turn of the runtime's driver some starve (the environment
 * variable DENO_TOKIO_MAX_IO_EVENTS_PER_TICK is one cure, this is the other, which hangs on nothing undocumented).
 *
 * Every completed read passes here. At most {@link READS_PER_TURN} go on at once, the rest queue first in, first out until the driver has
 * turned, which is seen through a loopback connection of our own (turn.ts).
 */
import { BOUND_VARIABLE } from "../core/variables.ts";
import { LoopbackPair } from "./turn.ts";

/** Below 128; 200 is unfair again. */
const READS_PER_TURN = 64;
/** Bulk uses the turn up faster: one more for this many bytes. */
const BYTES_PER_COUNT = 32 * 1024;

/**
 * Where the runtime itself is told to take so few events per turn ({@link BOUND_VARIABLE}), the gate would only cost (about 1 us per
 * request).
 */
const FAIR_BOUND = 127;

/** The gate, or null where the environment already bounds the turn. Without permission for the variable the gate is taken. */
export async function openReadGate(): Promise<ReadGate | null> {
  const { state } = Deno.permissions.querySync({ name: "env", variable: BOUND_VARIABLE });
  const bound = state === "granted" ? Number(Deno.env.get(BOUND_VARIABLE) ?? Infinity) : Infinity;
  return isFair(bound) ? null : await ReadGate.open();
}

/** Does a bound on I/O events per turn keep connections from starving? */
export function isFair(bound: number): boolean {
  return bound >= 1 && bound <= FAIR_BOUND;
}

export class ReadGate {
  readonly #pair: LoopbackPair;
  readonly #queue: (() => void)[] = [];
  #head = 0;
  #used = 0;
  #turning = false;
  #closed = false;

  private constructor(pair: LoopbackPair) {
    this.#pair = pair;
  }

  /** Opens the loopback pair. */
  static async open(): Promise<ReadGate> {
    return new ReadGate(await LoopbackPair.open());
  }

  /** May the read that brought `n` bytes go on? When not, await `wait()`. */
  admit(n: number): boolean {
    if (this.#used >= READS_PER_TURN && !this.#closed) return false;
    this.#use(n);
    return true;
  }

  wait(): Promise<void> {
    return new Promise((resolve) => this.#queue.push(resolve));
  }

  #use(n: number): void {
    this.#used += 1 + Math.floor(n / BYTES_PER_COUNT);
    if (this.#used >= READS_PER_TURN && !this.#turning) this.#turn();
  }

  async #turn(): Promise<void> {
    this.#turning = true;
    if (!await this.#pair.turn()) this.#closed = true;
    this.#turning = false;
    this.#used = 0;
    const queue = this.#queue;
    let n = 0;
    while (this.#head < queue.length && (n < READS_PER_TURN || this.#closed)) {
      queue[this.#head++]!();
      n++;
    }
    if (this.#head === queue.length) {
      queue.length = 0;
      this.#head = 0;
    } else if (this.#head > 4096) {
      queue.splice(0, this.#head);
      this.#head = 0;
    }
    this.#used = n;
    if (n >= READS_PER_TURN && !this.#closed) this.#turn();
  }

  close(): void {
    this.#closed = true;
    this.#pair.close();
    for (; this.#head < this.#queue.length; this.#head++) this.#queue[this.#head]!();
    this.#queue.length = 0;
    this.#head = 0;
  }
}

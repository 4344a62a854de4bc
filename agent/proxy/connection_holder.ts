/** Who keeps a client's connections while they last. */

/** An idle connection keeps what makes its next request cheaper for so long, ms; then it is folded. */
export const FOLD_MS = 1000;

export interface HeldConnection {
  /** Closes when nothing is under way, else after it. */
  drain(): void;
  /** Cuts everything. */
  close(): void;
}

export interface ConnectionHolder {
  /** From now on `next` stands for the connection. */
  becomes(connection: HeldConnection, next: HeldConnection): void;
  /** It is over. */
  left(connection: HeldConnection): void;
}

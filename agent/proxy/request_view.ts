/** A {@link RequestView} over a parsed head: what routing looks at, sliced out of the head's text. */
import type { RequestView } from "../route/types.ts";
import type { MessageHead } from "../wire/http1/head.ts";

export class RequestHeadView implements RequestView {
  /** The path was changed by normalisation, so the bytes of the target cannot be sent as they are. */
  normalised = false;

  constructor(
    readonly head: MessageHead,
    readonly method: string,
    readonly scheme: "http" | "https",
    readonly authority: string,
    readonly host: string,
    readonly port: number,
    public path: string,
    readonly query: string | undefined,
    /** Position of the path in the head's buffer; -1 when the path stands nowhere in it. */
    readonly pathStart: number,
  ) {}

  header(name: string): string | undefined {
    // Absolute form beats Host (RFC 9112 section 3.2.2).
    if (name === "host") return this.authority;
    return this.head.value(name);
  }
}

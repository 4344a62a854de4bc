/** The one list of what the serve engine cannot do; the conformance tests are made from it. */

export interface ServeLimit {
  readonly id: string;
  /** What does not hold. */
  readonly what: string;
  /** What happens instead. */
  readonly instead: string;
}

/** Measured on Deno 2.9. Everything else is as with the native engine. */
export const SERVE_LIMITS = [
  {
    id: "tunnels",
    what: "CONNECT, and Upgrade (WebSocket)",
    instead: "CONNECT is answered 501; an upgrade is forwarded as a plain request",
  },
  {
    id: "trailers",
    what: "trailers, in requests and answers",
    instead: "they are dropped",
  },
  {
    id: "interim",
    what: "interim answers (1xx) of the upstream",
    instead: "they are dropped; 100 Continue is sent when the body is first read",
  },
  {
    id: "header-lines",
    what: "header lines as received",
    instead: "request names arrive in lower case and sorted, lines of one name joined with a comma",
  },
  {
    id: "target-form",
    what: "the form of the request target",
    instead: "* is seen as the path /*, an authority without a path as /",
  },
  {
    id: "version",
    what: "the HTTP version of the client",
    instead: "HTTP/1.0 counts as 1.1, so it needs a Host header; the server still frames the answer for it",
  },
  {
    id: "get-body",
    what: "bodies of GET and HEAD",
    instead: "the request is answered 501",
  },
  {
    id: "strict-bytes",
    what: "refusing every malformed byte",
    instead:
      "line ends of a bare LF, equal repeated lengths and unclean targets are read leniently; what goes on is " +
      "always written anew, so it has one meaning",
  },
  {
    id: "early-answers",
    what: "answers of the agent to what the server itself refuses",
    instead: "an empty 400 of the server, or the end of the connection, without an access-log line",
  },
  {
    id: "limits",
    what: "own limits on head size, header count and connections, and the timeouts headMs and idleMs",
    instead: "the server's own: about 64 KiB, 100 headers, no timeouts",
  },
  {
    id: "status-range",
    what: "a status above 599",
    instead: "502",
  },
  {
    id: "client-gone",
    what: "seeing at once that a client went away while the upstream is still silent",
    instead: "it is seen when the answer is written",
  },
] as const satisfies readonly ServeLimit[];

export type ServeLimitId = (typeof SERVE_LIMITS)[number]["id"];

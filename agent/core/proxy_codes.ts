/**
 * Answers of the proxy's own, P codes: with the status and Envoy's response flag. Part of the one table in codes.ts, apart only for
 * length. P1xx = the client's message, P2xx = where it wants to go, P3xx = the upstream, P4xx = the agent itself.
 */
export const PROXY_CODES = {
  P101: { severity: "error", hint: "Send HTTP/1.1 as RFC 9112 writes it.", status: 400, flag: "DPE" },
  P102: {
    severity: "error",
    hint: "Send one Host header (or an absolute URL) that names a host and, when needed, a port.",
    status: 400,
    flag: "DPE",
  },
  P103: {
    severity: "error",
    hint: "Take user:password@ out of the URL and send an Authorization header.",
    status: 400,
    flag: "DPE",
  },
  P104: {
    severity: "error",
    hint: "Send fewer or shorter headers, or raise the limit of the agent.",
    status: 431,
    flag: "DPE",
  },
  P105: {
    severity: "error",
    hint: "Send a shorter URL, or raise the limit of the agent.",
    status: 414,
    flag: "DPE",
  },
  P106: { severity: "error", hint: "Send the whole request head at once.", status: 408, flag: "DT" },
  P107: { severity: "error", hint: "Send the body without pauses.", status: 408, flag: "SI" },
  P108: { severity: "error", hint: "Use HTTP/1.1 or HTTP/1.0.", status: 505, flag: "DPE" },
  P109: {
    severity: "error",
    hint: "For https let the client use CONNECT (https_proxy), or send http:// to the agent.",
    status: 501,
    flag: "",
  },
  P110: { severity: "error", hint: "Use the transfer coding chunked alone.", status: 501, flag: "DPE" },
  P111: { severity: "error", hint: "Use the native engine and HTTP/1.1 for tunnels.", status: 501, flag: "" },
  P112: { severity: "error", hint: "The client closed the connection.", status: 499, flag: "DC" },
  P113: {
    severity: "error",
    hint: "Use the native engine for bodies of GET and HEAD.",
    status: 501,
    flag: "",
  },

  P201: {
    severity: "error",
    hint: "Add a route without match as the last one, or mend the conditions.",
    status: 404,
    flag: "NR",
  },
  P202: {
    severity: "error",
    hint: "Use one of the ports, or add the port to the ServiceEntry.",
    status: 404,
    flag: "NR",
  },
  P203: { severity: "error", hint: "Wait for /ready of the admin port.", status: 503, flag: "" },
  P204: {
    severity: "error",
    hint: "Declare the host with a ServiceEntry, or set outboundTrafficPolicy to ALLOW_ANY.",
    status: 502,
    flag: "",
  },
  P205: {
    severity: "error",
    hint: "The agent is a proxy, not a web server: use it as http_proxy and ask for another host.",
    status: 508,
    flag: "",
  },
  P206: { severity: "error", hint: "Link-local addresses are never proxied.", status: 403, flag: "UAEX" },
  P207: {
    severity: "error",
    hint: "Check the name and the resolver of this machine.",
    status: 503,
    flag: "DF",
  },
  P208: {
    severity: "error",
    hint: "Add a tls or tcp route that matches the connection, or one without conditions.",
    status: 404,
    flag: "NR",
  },

  P209: {
    severity: "error",
    hint:
      "Add the address, its range or the host to cse.mesh.permissions.net (any = no bound) and restart the agent; " +
      "mesh-agent permissions prints what it may do.",
    status: 403,
    flag: "UAEX",
  },

  P301: {
    severity: "error",
    hint: "Check host, port and subset of the destination.",
    status: 503,
    flag: "NC",
  },
  P302: {
    severity: "error",
    hint: "Check the endpoints and that the labels of the subset match one.",
    status: 503,
    flag: "UH",
  },
  P303: { severity: "error", hint: "Check that the upstream listens there.", status: 503, flag: "UF" },
  P304: {
    severity: "error",
    hint: "Check the network path, or raise connectTimeout.",
    status: 503,
    flag: "UF",
  },
  P305: { severity: "error", hint: "Look into the upstream's log.", status: 503, flag: "UC" },
  P306: {
    severity: "error",
    hint: "Check that the upstream speaks HTTP on that port, and the version that the rules say.",
    status: 502,
    flag: "UPE",
  },
  P307: {
    severity: "error",
    hint: "Raise the route's timeout, or look why the upstream is slow.",
    status: 504,
    flag: "UT",
  },
  P308: {
    severity: "error",
    hint: "Raise retries.perTryTimeout, or look why the upstream is slow.",
    status: 504,
    flag: "UT",
  },
  P309: { severity: "error", hint: "Look why the upstream stopped sending.", status: 504, flag: "SI" },
  P310: { severity: "error", hint: "Look into the upstream's log.", status: 503, flag: "UR" },
  P311: {
    severity: "error",
    hint: "Send less at a time, or raise the limits of connectionPool in the DestinationRule.",
    status: 503,
    flag: "UO",
  },
  P312: {
    severity: "error",
    hint: "Start the application, or mend the local port of --service-ports.",
    status: 502,
    flag: "UF",
  },
  P313: {
    severity: "error",
    hint: "Look why the application fails its localHealthCheck.",
    status: 503,
    flag: "LH",
  },

  P401: {
    severity: "error",
    hint: "Send less at a time, or raise the limit of the agent.",
    status: 503,
    flag: "UO",
  },
  P402: { severity: "error", hint: "A fault rule of the route asks for this.", status: 503, flag: "FI" },
  P403: {
    severity: "error",
    hint: "This is a mistake in the agent; report it with the request.",
    status: 500,
    flag: "",
  },
} as const;

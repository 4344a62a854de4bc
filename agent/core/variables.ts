/** Environment variables that are no settings: of the runtime and of packages. */

/** How many I/O events the runtime takes in one turn: set by the supervisor before it starts the worker (net/read_gate.ts). */
export const BOUND_VARIABLE = "DENO_TOKIO_MAX_IO_EVENTS_PER_TICK";

/** Of systemd (sd_notify(3), systemd.exec(5)), for the process that it started. */
export const SYSTEMD_VARIABLES: readonly string[] = [
  "NOTIFY_SOCKET",
  "RUNTIME_DIRECTORY",
  "WATCHDOG_PID",
  "WATCHDOG_USEC",
];

/** grpc-js throws without them. */
export const GRPC_VARIABLES: readonly string[] = [
  "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
  "GRPC_EXPERIMENTAL_ENABLE_OUTLIER_DETECTION",
  "GRPC_NODE_DEBUG_SEND_ERROR_DETAILS",
  "GRPC_NODE_TRACE",
  "GRPC_NODE_USE_ALTERNATIVE_RESOLVER",
  "GRPC_NODE_VERBOSITY",
  "GRPC_SSL_CIPHER_SUITES",
  "GRPC_TRACE",
  "GRPC_VERBOSITY",
];

/** The position parser of YAML asks for them. */
export const YAML_VARIABLES: readonly string[] = ["LOG_STREAM", "LOG_TOKENS"];

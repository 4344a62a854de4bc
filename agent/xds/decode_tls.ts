/** TLS towards endpoints: UpstreamTlsContext of every generation -> the model. Executed later; here it is only understood. */
import type { Cluster } from "../model/model.ts";
import { messageOfTypeUrl, type Messages, type Schema } from "../../protos/schema.ts";
import type { Findings } from "./values.ts";

type Tls = NonNullable<Cluster["tls"]>;
type CommonTls = Messages["CommonTlsContext"];
type Validation = Messages["CertificateValidationContext"];

/** Where old Pilots have the workload's own certificate. */
const WORKLOAD_CERTIFICATE = "/etc/certs/cert-chain.pem";

/** The three ways in which generations say it: tls_context (v2), a TransportSocket with a Struct, or with an Any. */
export function decodeTransportSocket(
  schema: Schema,
  socket: Messages["TransportSocket"] | null,
  field: string,
  found: Findings,
  wrapped = false,
): Tls | undefined {
  if (socket === null || socket.config_type === undefined) return undefined;
  if (socket.config !== null) {
    return /(^|\.)tls$/.test(socket.name)
      ? decodeTlsContext(schema.structToMessage("UpstreamTlsContext", socket.config))
      : undefined;
  }
  const { type_url, value } = socket.typed_config!;
  switch (messageOfTypeUrl(type_url)) {
    case "UpstreamTlsContext":
      return decodeTlsContext(schema.decode("UpstreamTlsContext", value));
    case "ProxyProtocolUpstreamTransport": {
      // One in another: no server has that, and there is no end to it.
      if (wrapped) return undefined;
      found.note(
        field,
        "Cannot send the PROXY protocol's header to endpoints; connections begin without it",
        {
          severity: "warning",
          hint: "Endpoints that insist on the header refuse the agent; let them do without it.",
        },
      );
      const inner = schema.decode("ProxyProtocolUpstreamTransport", value).transport_socket;
      return decodeTransportSocket(schema, inner, `${field}.typed_config.transport_socket`, found, true);
    }
    default:
      if (!/\.RawBuffer$/.test(type_url)) {
        found.note(
          field,
          `Cannot use transport socket ${JSON.stringify(type_url)}; connections are plain`,
          { severity: "warning", hint: "Endpoints that want this transport refuse the agent." },
        );
      }
      return undefined;
  }
}

export function decodeTlsContext(message: Messages["UpstreamTlsContext"]): Tls {
  const common = message.common_tls_context;
  const tls: { -readonly [K in keyof Tls]: Tls[K] } = { mode: "SIMPLE" };
  if (common !== null) {
    readCertificate(common, tls);
    readValidation(common, tls);
    if (isIstioMutual(common)) tls.mode = "ISTIO_MUTUAL";
  }
  if (message.sni !== "") tls.sni = message.sni;
  return tls;
}

/** The workload's own certificate; ALPN tells nothing, old Pilots say `istio` with any client certificate. */
function isIstioMutual(common: CommonTls): boolean {
  return common.tls_certificate_sds_secret_configs[0]?.name === "default" ||
    common.tls_certificates[0]?.certificate_chain?.filename === WORKLOAD_CERTIFICATE;
}

/** A client certificate: files, or the name of a secret (`file-cert:CERT~KEY`, `kubernetes://NAME`, `default`). */
function readCertificate(common: CommonTls, tls: { -readonly [K in keyof Tls]: Tls[K] }): void {
  const files = common.tls_certificates[0];
  const chain = files?.certificate_chain?.filename;
  const key = files?.private_key?.filename;
  if (chain) tls.clientCertificate = chain;
  if (key) tls.privateKey = key;
  if (files !== undefined) tls.mode = "MUTUAL";
  const secret = common.tls_certificate_sds_secret_configs[0]?.name;
  if (secret === undefined) return;
  tls.mode = "MUTUAL";
  const pair = /^file-cert:(.*)~(.*)$/.exec(secret);
  if (pair !== null) [, tls.clientCertificate, tls.privateKey] = pair as unknown as [string, string, string];
  else if (secret !== "default") tls.credentialName = credential(secret);
}

function readValidation(common: CommonTls, tls: { -readonly [K in keyof Tls]: Tls[K] }): void {
  const combined = common.combined_validation_context;
  const own: Validation | null = common.validation_context ?? combined?.default_validation_context ?? null;
  const secret = (common.validation_context_sds_secret_config ??
    combined?.validation_context_sds_secret_config)?.name;
  const file = own?.trusted_ca?.filename;
  if (file) tls.caCertificates = file;
  else if (secret?.startsWith("file-root:")) {
    const path = secret.slice("file-root:".length);
    // The roots of the machine.
    if (path !== "system") tls.caCertificates = path;
  } else if (secret !== undefined && secret !== "ROOTCA") {
    tls.credentialName ??= credential(secret);
  } else if (secret === undefined && own?.trusted_ca == null && own?.system_root_certs == null) {
    tls.insecureSkipVerify = true;
  }
  const names = own === null ? [] : [
    ...own.verify_subject_alt_name,
    ...[
      ...own.match_subject_alt_names,
      ...own.match_typed_subject_alt_names.flatMap(({ matcher }) => matcher === null ? [] : [matcher]),
    ].flatMap(({ exact }) => exact === null ? [] : [exact]),
  ];
  if (names.length > 0) tls.subjectAltNames = [...new Set(names)];
}

/** `kubernetes://name-cacert` -> `name`. */
function credential(secret: string): string {
  return secret.replace(/^kubernetes:\/\//, "").replace(/-cacert$/, "");
}

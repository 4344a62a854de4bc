import assert from "node:assert/strict";
import type { Cluster } from "../model/model.ts";
import { loadSchema, type Messages, type Partly } from "../../protos/schema.ts";
import { createCodec } from "./codec.ts";

const schema = loadSchema();
const codec = createCodec();

type Message = Partly<Messages["Cluster"]>;
const any = <K extends keyof Messages>(url: string, name: K, value: Partly<Messages[K]>) => ({
  type_url: `type.googleapis.com/${url}`,
  value: schema.encode(name, value),
});
const struct = (object: Readonly<Record<string, unknown>>) => schema.jsonToStruct(object);
const TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

const rows: readonly (readonly [string, Message, Pick<Cluster, "tls" | "tlsModeIstio">])[] = [
  [
    "v2 TLS with the workload's certificate",
    {
      tls_context: {
        sni: "s",
        common_tls_context: {
          tls_certificates: [{
            certificate_chain: { filename: "/etc/certs/cert-chain.pem" },
            private_key: { filename: "/etc/certs/key.pem" },
          }],
          validation_context: {
            trusted_ca: { filename: "/etc/certs/root-cert.pem" },
            verify_subject_alt_name: ["spiffe://x"],
          },
        },
      },
    },
    {
      tls: {
        mode: "ISTIO_MUTUAL",
        clientCertificate: "/etc/certs/cert-chain.pem",
        privateKey: "/etc/certs/key.pem",
        caCertificates: "/etc/certs/root-cert.pem",
        subjectAltNames: ["spiffe://x"],
        sni: "s",
      },
    },
  ],
  [
    "TLS as a Struct",
    {
      transport_socket: {
        name: "tls",
        config: struct({
          common_tls_context: {
            tls_certificates: [{ certificate_chain: { filename: "/c" }, private_key: { filename: "/k" } }],
          },
        }),
      },
    },
    { tls: { mode: "MUTUAL", clientCertificate: "/c", privateKey: "/k", insecureSkipVerify: true } },
  ],
  [
    "the machine's roots, by Envoy's name and by Istio's",
    {
      transport_socket_matches: [{
        match: struct({ tlsMode: "istio" }),
        transport_socket: {
          typed_config: any(TLS, "UpstreamTlsContext", {
            common_tls_context: { validation_context: { system_root_certs: {} } },
          }),
        },
      }],
      transport_socket: {
        typed_config: any(TLS, "UpstreamTlsContext", {
          common_tls_context: { validation_context_sds_secret_config: { name: "file-root:system" } },
        }),
      },
    },
    { tls: { mode: "SIMPLE" }, tlsModeIstio: { mode: "SIMPLE" } },
  ],
  [
    "TLS with files behind SDS names",
    {
      transport_socket: {
        name: "envoy.transport_sockets.tls",
        typed_config: any(TLS, "UpstreamTlsContext", {
          common_tls_context: {
            tls_certificate_sds_secret_configs: [{ name: "file-cert:/c.pem~/k.pem" }],
            combined_validation_context: {
              default_validation_context: { match_subject_alt_names: [{ exact: "a" }, { suffix: "b" }] },
              validation_context_sds_secret_config: { name: "file-root:/ca.pem" },
            },
          },
        }),
      },
    },
    {
      tls: {
        mode: "MUTUAL",
        clientCertificate: "/c.pem",
        privateKey: "/k.pem",
        caCertificates: "/ca.pem",
        subjectAltNames: ["a"],
      },
    },
  ],
  [
    "TLS with a named credential",
    {
      transport_socket: {
        name: "t",
        typed_config: any(TLS, "UpstreamTlsContext", {
          common_tls_context: {
            tls_certificate_sds_secret_configs: [{ name: "kubernetes://mine" }],
            validation_context_sds_secret_config: { name: "kubernetes://mine-cacert" },
          },
        }),
      },
    },
    { tls: { mode: "MUTUAL", credentialName: "mine" } },
  ],
  [
    "mutual TLS only to those that announce it",
    {
      transport_socket_matches: [{
        name: "tlsMode-istio",
        match: struct({ tlsMode: "istio" }),
        transport_socket: {
          name: "envoy.transport_sockets.tls",
          typed_config: any(TLS, "UpstreamTlsContext", {
            sni: "s",
            common_tls_context: {
              tls_certificate_sds_secret_configs: [{ name: "default" }],
              validation_context_sds_secret_config: { name: "ROOTCA" },
            },
          }),
        },
      }, {
        name: "tlsMode-disabled",
        match: {},
        transport_socket: {
          name: "envoy.transport_sockets.raw_buffer",
          typed_config: any("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", "Matcher", {}),
        },
      }],
    },
    { tlsModeIstio: { mode: "ISTIO_MUTUAL", sni: "s" } },
  ],
  [
    "TLS to everybody, mutual to those that announce it",
    {
      transport_socket_matches: [{
        match: struct({ tlsMode: "istio" }),
        transport_socket: { typed_config: any(TLS, "UpstreamTlsContext", { sni: "mutual" }) },
      }, {
        match: {},
        transport_socket: { typed_config: any(TLS, "UpstreamTlsContext", { sni: "simple" }) },
      }],
    },
    { tls: { mode: "SIMPLE", sni: "simple" }, tlsModeIstio: { mode: "SIMPLE", sni: "mutual" } },
  ],
];

for (const [what, message, wanted] of rows) {
  Deno.test(`TLS of a cluster: ${what}`, () => {
    const bytes = schema.encode("Cluster", { name: "c", ...message } as Message);
    const result = codec.decodeCluster({ name: "c", version: "", typeUrl: "", bytes }, { kind: "Cluster" });
    if ("problems" in result) assert.fail(JSON.stringify(result.problems));
    assert.deepEqual(result.notes, []);
    const { tls, tlsModeIstio } = result.value;
    assert.deepEqual({ tls, tlsModeIstio }, { tls: undefined, tlsModeIstio: undefined, ...wanted });
  });
}

Deno.test("the PROXY protocol around itself ends after one round, with one note", () => {
  const type = "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";
  let socket: Partly<Messages["TransportSocket"]> = {};
  for (let i = 0; i < 50; i++) {
    socket = { typed_config: any(type, "ProxyProtocolUpstreamTransport", { transport_socket: socket }) };
  }
  const bytes = schema.encode("Cluster", { name: "c", transport_socket: socket });
  const result = codec.decodeCluster({ name: "c", version: "", typeUrl: "", bytes }, { kind: "Cluster" });
  assert.ok("value" in result);
  assert.equal(result.notes.length, 1);
});

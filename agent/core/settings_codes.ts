/** The codes of settings: files of the conf directory, environment and flags. Part of the one table in codes.ts. */
export const SETTINGS_CODES = {
  S101: { severity: "error", hint: "Mend the YAML; nothing of the file can be read before." },
  S102: { severity: "error", hint: "Mend the spelling or delete the key." },
  S103: { severity: "error", hint: "Give the value in the form that the key wants." },
  S104: {
    severity: "error",
    hint: 'Put the word in quotes ("no"): Kubernetes reads it as a boolean when it is bare.',
  },
  S105: { severity: "error", hint: "Use one of the values." },
  S106: { severity: "error", hint: "Keep one of the two." },
  S107: {
    severity: "error",
    hint: "Use a variable that the permission set names (MESH_ and any word is free), or add it there.",
  },
  S110: {
    severity: "error",
    hint: "Set it to true: services are ServiceEntries here, and Kubernetes services with Pilot.",
  },
  S111: { severity: "info", hint: "Write registrator.disabled: true to say so." },
  S112: {
    severity: "error",
    hint: "Take the rules from where the services come from: leave router.infra out.",
  },
  S113: {
    severity: "error",
    hint: "Take the rules from where the services come from: leave router.infra out.",
  },
  S114: {
    severity: "error",
    hint:
      "http:// is Pilot's v1 API (port 8080), grpc:// plaintext gRPC (15010), grpcs:// gRPC with TLS (15012).",
  },
  S115: {
    severity: "error",
    hint: "Only the rules of type pilot may come from another address than its services.",
  },
  S116: {
    severity: "warning",
    hint:
      "Set them (in Kubernetes by the downward API): rules of a namespace and of Sidecar resources go by them.",
  },
  S120: { severity: "info", hint: "" },
  S121: { severity: "info", hint: "" },
  S122: {
    severity: "warning",
    hint: "The agent reads chassis.yaml, mesher.yaml, microservice.yaml, router.yaml and egress.yaml.",
  },
  S123: {
    severity: "warning",
    hint: "Listen on 127.0.0.1 unless others shall send their requests through this agent.",
  },
  S124: { severity: "warning", hint: "Write VirtualServices into the rules directory instead." },
  S125: {
    severity: "error",
    hint: "Set INSTANCE_IP to the pod's or machine's own address (in Kubernetes by the downward API).",
  },
  S126: {
    severity: "error",
    hint: "Give the port that the application listens on: --service-ports rest:PORT:LOCALPORT.",
  },
  S127: { severity: "warning", hint: "Mend the port, or delete the key." },
} as const;

import assert from "node:assert/strict";
import { namedPlaces } from "./rule_places.ts";

const inPrivate = (address: string) => /^(10|127)\./.test(address);

function placesOf(text: string): string[] {
  return namedPlaces(new Map([["a.yaml", text]]), inPrivate).map(({ place }) => place);
}

Deno.test("places of rules: endpoints with their ports, IPv6 and names among them", () => {
  assert.deepEqual(
    placesOf(`kind: ServiceEntry
spec:
  hosts: [a.example]
  ports: [{number: 80, name: http}, {number: 443, name: tls, targetPort: 8443}, {number: 90, name: own}]
  resolution: STATIC
  endpoints:
  - {address: 203.0.113.5, ports: {own: 9090}}
  - {address: "2001:db8::5"}
  - {address: "unix:///run/a.sock"}
`),
    [
      "203.0.113.5:80",
      "203.0.113.5:8443",
      "203.0.113.5:9090",
      "[2001:db8::5]:80",
      "[2001:db8::5]:8443",
      "[2001:db8::5]:90",
    ],
  );
});

Deno.test("places of rules: hosts where the resolver decides, wildcards and ranges where the client does", () => {
  assert.deepEqual(
    placesOf(`kind: ServiceEntry
spec: {hosts: [API.example.com], ports: [{number: 80, targetPort: 8080}], resolution: DNS}
---
kind: ServiceEntry
spec: {hosts: ["*.wikipedia.org"], addresses: [198.51.100.0/24], ports: [{number: 443}]}
---
kind: WorkloadEntry
spec: {address: vm.example, ports: {http: 8080}}
---
kind: WorkloadEntry
spec: {address: 203.0.113.9}
`),
    ["api.example.com:8080", "*.wikipedia.org:443", "198.51.100.0/24:443", "vm.example:8080", "203.0.113.9"],
  );
});

Deno.test("places of rules: lists, JSON, the same place once, with the line of its document", () => {
  const item = (ip: string) =>
    `{"kind": "ServiceEntry", "spec": {"hosts": ["x"], "resolution": "STATIC", "endpoints": [{"address": "${ip}"}]}}`;
  const files = new Map([
    ["a.json", `{"kind": "List", "items": [${item("203.0.113.1")}, ${item("10.0.0.1")}]}`],
    ["b.yaml", `# first\n---\n${item("203.0.113.1")}\n---\n${item("203.0.113.2")}\n`],
  ]);
  assert.deepEqual(namedPlaces(files, inPrivate), [
    { place: "203.0.113.1", where: "a.json:1" },
    { place: "10.0.0.1", where: "a.json:1" },
    { place: "203.0.113.2", where: "b.yaml:4" },
  ]);
});

Deno.test("places of rules: what stays inside is not even parsed, what cannot be read names nothing", () => {
  const parsed: string[] = [];
  const watching = (address: string) => {
    parsed.push(address);
    return inPrivate(address);
  };
  const text = `kind: ServiceEntry
spec: {hosts: [a.example], resolution: STATIC, endpoints: [{address: 10.1.2.3}, {address: 127.0.0.1}]}
`;
  assert.deepEqual(namedPlaces(new Map([["a.yaml", text]]), watching), []);
  assert.deepEqual(parsed, ["10.1.2.3", "127.0.0.1"]);
  assert.deepEqual(placesOf("kind: ServiceEntry\nspec: {hosts: [a.example], resolution: DNS"), []);
  assert.deepEqual(placesOf("kind: VirtualService\nspec: {hosts: [a.example], http: []}"), []);
  assert.deepEqual(placesOf("kind: ServiceEntry\nspec: 7\n"), []);
});

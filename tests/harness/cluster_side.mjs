/**
 * What a cluster has besides its control plane, for a test in network namespaces: a name server (UDP, port 53) and applications that tell
 * their name and who asked. Commands are JSON lines on standard input, each answered by a line.
 *
 * node cluster_side.mjs '{"host": "10.77.0.1", "applications": {"v1": 8081, "v2": 8082}}'
 */
import dgram from "node:dgram";
import http from "node:http";
import readline from "node:readline";

const { host, applications } = JSON.parse(process.argv[2]);

/** Name -> its IPv4 address. */
const names = new Map();

/** Answer to a question with one name (RFC 1035, section 4.1): its A record, or nothing. */
function answer(question) {
  const labels = [];
  let at = 12;
  for (let length = question[at]; length > 0; length = question[at]) {
    labels.push(question.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  const asked = question.subarray(12, at + 5);
  const type = question.readUInt16BE(at + 1);
  const address = names.get(labels.join(".").toLowerCase());
  const found = address !== undefined && type === 1;
  const head = Buffer.from(question.subarray(0, 12));
  // An answer with recursion; NXDOMAIN for a name that nobody has.
  head.writeUInt16BE(0x8580 | (address === undefined ? 3 : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(found ? 1 : 0, 6);
  head.writeUInt32BE(0, 8);
  if (!found) return Buffer.concat([head, asked]);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split(".").map(Number)]);
  return Buffer.concat([head, asked, record]);
}

const dns = dgram.createSocket("udp4");
dns.on("message", (question, peer) => dns.send(answer(question), peer.port, peer.address));

const opening = [new Promise((resolve) => dns.bind(53, host, resolve))];
for (const [name, port] of Object.entries(applications)) {
  const server = http.createServer((request, response) => {
    response.setHeader("x-instance", name);
    response.end(`${name} asked by ${request.socket.remoteAddress}\n`);
  });
  opening.push(new Promise((resolve) => server.listen(port, host, resolve)));
}
await Promise.all(opening);
console.log("ready");

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  for (const [name, address] of Object.entries(JSON.parse(line))) names.set(name, address);
  console.log("done");
}).on("close", () => process.exit(0));

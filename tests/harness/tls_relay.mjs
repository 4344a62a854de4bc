/**
 * TLS in front of a plaintext port, as istiod's 15012 stands in front of what its 15010 serves. Ends with its standard input.
 *
 * node tls_relay.mjs '{"host": "10.77.0.1", "port": 15012, "to": 15010, "cert": "-----BEGIN…", "key": "-----BEGIN…"}'
 */
import net from "node:net";
import tls from "node:tls";

const { host, port, to, cert, key } = JSON.parse(process.argv[2]);
const server = tls.createServer({ cert, key, ALPNProtocols: ["h2"] }, (secured) => {
  const plain = net.connect(to, host);
  secured.pipe(plain).pipe(secured);
  for (const [one, other] of [[secured, plain], [plain, secured]]) {
    one.on("error", () => other.destroy()).on("close", () => other.destroy());
  }
});
server.listen(port, host, () => console.log("ready"));
process.stdin.on("end", () => process.exit(0)).resume();

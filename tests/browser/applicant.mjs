// A server that wants to join, as the platform meets one: an application, a certificate, further applications under it (§7.5).

import { generateKeyPairSync, sign } from "node:crypto";
import https from "node:https";

export class Applicant {
  constructor(platform, id) {
    this.platform = new URL(platform);
    this.id = id;
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.key = privateKey.export({ type: "pkcs8", format: "pem" });
    this.csr = request(id, privateKey, publicKey);
  }

  /** Applies for registration; answers nothing but the application's ID. */
  register(name, port) {
    const serverInfo = { serverId: this.id, serverName: name, serverAddress: `https://127.0.0.1:${port}`, serverStatus: "0", contactName: "Wu Wei 吴伟", contactEmail: "wu@west.example", contactMobile: "008613800000000", area: "CN-SC" };
    return this.#apply("register", { ownerId: "West Bank Ltd", csr: this.csr, serverInfo });
  }

  /** Applies for changes of what is registered. */
  change(fields) {
    return this.#apply("update", { fields: Object.keys(fields), serverInfo: { serverId: this.id, ...fields } });
  }

  leave(reason) {
    return this.#apply("deregister", { reason });
  }

  async #apply(call, body) {
    const { applicationId, ticket } = await this.#post(call, body);
    this.last = { applicationId, ticket };
    return applicationId;
  }

  /** What has come of the last application; takes the certificate if there is one. */
  async outcome() {
    const answer = await this.#post("application", this.last);
    this.certificate = answer.certificate ?? this.certificate;
    return answer;
  }

  #post(call, body) {
    const { hostname, port } = this.platform;
    const credentials = this.certificate ? { cert: this.certificate, key: this.key } : {};
    return new Promise((resolve, reject) => {
      const asked = https.request({ hostname, port, path: `/sns/managernode/${call}`, method: "POST", rejectUnauthorized: false, agent: false, headers: { "content-type": "application/json;charset=utf-8" }, ...credentials }, (reply) => {
        let text = "";
        reply.setEncoding("utf8").on("data", (part) => { text += part; }).on("end", () => {
          const answer = JSON.parse(text);
          if (answer.code === 0) resolve(answer);
          else reject(new Error(`${call}: ${text}`));
        });
      });
      asked.on("error", reject).end(JSON.stringify(body));
    });
  }
}

/** A request for a certificate (PKCS #10, RFC 2986), PEM. */
function request(name, privateKey, publicKey) {
  const commonName = sequence(tagged(0x31, sequence(oid("0603550403"), tagged(0x0c, Buffer.from(name)))));
  const info = sequence(Buffer.from("020100", "hex"), commonName, publicKey.export({ type: "spki", format: "der" }), Buffer.from("a000", "hex"));
  const signature = tagged(0x03, Buffer.concat([Buffer.of(0), sign("sha256", info, privateKey)]));
  const whole = sequence(info, sequence(oid("06082a8648ce3d040302")), signature).toString("base64");
  return `-----BEGIN CERTIFICATE REQUEST-----\n${whole.match(/.{1,64}/g).join("\n")}\n-----END CERTIFICATE REQUEST-----\n`;
}

const oid = (hex) => Buffer.from(hex, "hex");
const sequence = (...parts) => tagged(0x30, Buffer.concat(parts));

function tagged(tag, content) {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

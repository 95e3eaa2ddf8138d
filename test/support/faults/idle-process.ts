// Makes one request in each lane and then has nothing left to do: the process must end by itself.
import { createTransport } from "../../../src/http/transport.js";

const [baseUrl = ""] = process.argv.slice(2);
const transport = createTransport({ baseUrl });
for (const lane of ["poll", "main"] as const) {
  const exchange = await transport.request({ lane, method: "GET", path: "/", pathTemplate: "/", deadlineMs: 60_000 });
  console.log(exchange.kind);
}

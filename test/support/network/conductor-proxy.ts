import http from "node:http";
import type { AddressInfo } from "node:net";

/** One request on its way to the server. */
export interface ProxiedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** How many came before it. */
  readonly index: number;
}

/**
 * What becomes of a request: `pass`; `loseAnswer`: the server gets it, the client's connection is reset instead of the
 * answer; `silent`: nobody answers, ever; or this answer instead of the server's, which does not see the request.
 */
export type Treatment = "pass" | "loseAnswer" | "silent" | { readonly status: number; readonly body: object | string };

/** An HTTP proxy in front of a Conductor that decides for each request what becomes of it. */
export interface ConductorProxy {
  /** `http://127.0.0.1:port/api`. */
  readonly serverUrl: string;
  /** From now on requests are treated like this. */
  treat(how: (request: ProxiedRequest) => Treatment): void;
  /** From now on requests pass. */
  heal(): void;
  close(): Promise<void>;
}

export async function startConductorProxy(serverUrl: string): Promise<ConductorProxy> {
  const { hostname, port } = new URL(serverUrl);
  const agent = new http.Agent({ keepAlive: true });
  const pass = () => "pass" as const;
  let treatmentOf: (request: ProxiedRequest) => Treatment = pass;
  let count = 0;

  const server = http.createServer((request, response) => {
    const { method = "GET", url = "/", headers } = request;
    const [path = "", query = ""] = url.split("?");
    const treatment = treatmentOf({ method, path, query: new URLSearchParams(query), index: count });
    count += 1;
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    if (treatment === "silent") {
      request.resume();
      return;
    }
    if (typeof treatment === "object") {
      request.resume().once("end", () => {
        const isText = typeof treatment.body === "string";
        response.writeHead(treatment.status, { "content-type": isText ? "text/html" : "application/json" });
        response.end(isText ? treatment.body : JSON.stringify(treatment.body));
      });
      return;
    }
    const upward = http.request({ hostname, port, method, path: url, headers, agent }, (answer) => {
      if (treatment === "loseAnswer") {
        answer.resume();
        request.socket.resetAndDestroy();
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upward.on("error", () => {
      request.socket.destroy();
    });
    response.once("close", () => {
      // The client has left: so does the proxy, as a held poll would go on for nobody.
      if (!response.writableFinished && treatment === "pass") upward.destroy();
    });
    request.pipe(upward);
  });
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    serverUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`,
    treat(how) {
      treatmentOf = how;
    },
    heal() {
      treatmentOf = pass;
    },
    close() {
      agent.destroy();
      return new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      });
    },
  };
}

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ConfigurationError } from "../base/errors.js";
import { limitConnections } from "./connections.js";
import { createRoutes, type Answer, type RouteOptions, type Routes } from "./routes.js";

export interface ListenOptions {
  /** 0: any that is free. */
  readonly port: number;
  /** A name, or an address with or without brackets. */
  readonly host: string;
}

export interface AdminServerOptions extends RouteOptions, ListenOptions {}

/** Answers `/livez`, `/readyz`, `/metrics` and `/status`, and `/` for people. */
export interface AdminServer {
  /** `http://127.0.0.1:9400`, without a slash after it: one that works on this machine. */
  readonly url: string;
  /** Ends every connection. Resolves at once, in effect; may be called twice. */
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 100;
/** A client that takes longer for its request is ended, in ms. */
const REQUEST_TIMEOUT_MS = 2_000;
const TIMEOUT_CHECK_MS = 500;
/** What a connection may take as a whole, in ms: as long as Prometheus waits by default. */
const MAX_LIFE_MS = 10_000;

const HEADERS = {
  // Without it a client that keeps connections would hold one of few; and there is nothing to pipeline.
  connection: "close",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
};

/**
 * Listens, and answers until it is closed. Keeps no process alive. Rejects with `ConfigurationError` when it cannot
 * listen there.
 */
export function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  return serveRoutes(options, createRoutes(options));
}

/** As {@link startAdminServer}, with routes of one's own. */
export async function serveRoutes(at: ListenOptions, routes: Routes): Promise<AdminServer> {
  const { port } = at;
  const host = at.host.replace(/^\[(.*)\]$/, "$1");
  const server = createServer(
    {
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    },
    (request, response) => {
      void answer(routes, request, response);
    },
  );
  server.maxRequestsPerSocket = 1;
  const connections = limitConnections(server, MAX_CONNECTIONS, MAX_LIFE_MS);
  await listen(server, port, host);
  // Accepting may fail for want of file descriptors; that client comes again, and the worker goes on.
  server.on("error", () => {});
  server.unref();
  return {
    url: `http://${reachableHost(host)}:${(server.address() as AddressInfo).port}`,
    close: () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      connections.endAll();
      return closed;
    },
  };
}

async function answer(routes: Routes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // A client that goes away in the middle harms nobody.
  request.on("error", () => {});
  response.on("error", () => {});
  const { method, url } = request;
  send(response, await routes(method, url));
}

function send(response: ServerResponse, { status, contentType, body, headers }: Answer): void {
  const bytes = Buffer.from(body);
  try {
    response.writeHead(status, { ...HEADERS, ...headers, "content-type": contentType, "content-length": bytes.length });
    response.end(bytes);
  } catch {
    // A content type of somebody else's registry that cannot be a header.
    response.destroy();
  }
}

/** Each process has its port for itself, under `node:cluster` as well. */
function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(new ConfigurationError([whyNot(error, port, host)]));
    });
    server.listen({ port, host, exclusive: true }, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
}

const PORT_HINT = "set another adminPort (CONDUCTOR_WORKER_ADMIN_PORT), or 0 for any that is free";
const NO_ADDRESS: ReadonlySet<string> = new Set(["EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN"]);
const HOST_HINT = "set an adminHost (CONDUCTOR_WORKER_ADMIN_HOST) that is an address of this machine";

function whyNot({ code, message }: NodeJS.ErrnoException, port: number, host: string): string {
  const what = `the admin endpoint cannot listen on port ${port} of host ${host}`;
  if (code === "EADDRINUSE")
    return `${what}: the port is taken (${code}); end the process that has it, or ${PORT_HINT}`;
  if (code === "EACCES") return `${what}: this process may not use the port (${code}); ${PORT_HINT}`;
  if (code !== undefined && NO_ADDRESS.has(code)) {
    return `${what}: it is no address of this machine (${code}); ${HOST_HINT}`;
  }
  return `${what}: ${message}`;
}

/** All addresses are listened on by one that cannot be connected to everywhere. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0" || host === "") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}

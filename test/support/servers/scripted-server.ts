import http from "node:http";
import type net from "node:net";
import { getResponse, type RequestHandler } from "msw";
import { listenTcp } from "../network/tcp-listener.js";

/** One request as it came in, logged once its body was there. */
export interface LoggedRequest {
  readonly method: string;
  /** Without the query: `/api/tasks/update-v2`. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: string;
  /** The body, parsed. */
  json<T = unknown>(): T;
  /** When it was whole, in `performance.now()` ms. */
  readonly receivedAtMs: number;
  /** Which connection brought it, counted from 1. */
  readonly connectionId: number;
  /**
   * What became of it: `unhandled` was answered 501, `silenced` gets no answer, ever; `dropped` lost its connection by
   * our hand, before or within the answer.
   */
  readonly outcome: "pending" | "answered" | "unhandled" | "silenced" | "dropped";
  /** The status that was answered. */
  readonly status: number | undefined;
  /** The client closed the connection before the whole answer was out. */
  readonly abandoned: boolean;
  /** What a handler threw; answered 500. */
  readonly handlerError: unknown;
}

/**
 * What goes wrong:
 * - `none`: nothing; handlers answer.
 * - `silent`: connections are accepted, requests are read, none is answered.
 * - `close`, `reset`: every connection, open ones included, is closed (FIN) or reset (RST) at once. With `when` or
 *   `times`: the connection of a matching request, instead of an answer; handlers do not see the request.
 * - `dropAnswer`: handlers run, then the connection is reset: applied, but the answer is lost.
 * - `drip`: the answer's body comes byte by byte.
 * - `cut`: the connection closes in the middle of the answer's body.
 * - `refuse`: nobody listens, and open connections are reset. Any other mode listens again, on the same port.
 */
export type FaultMode = "none" | "silent" | "close" | "reset" | "dropAnswer" | "drip" | "cut" | "refuse";

/** Which requests a fault meets, and how. */
export interface FaultOptions {
  /** Only these requests. Default: all. */
  readonly when?: (request: LoggedRequest) => boolean;
  /** Only so many of them. Default: no limit. */
  readonly times?: number;
  /** `drip`: the pause between two bytes, in ms. Default 20. */
  readonly intervalMs?: number;
  /** `cut`: how many bytes of the body arrive. Default: half of them. */
  readonly afterBytes?: number;
}

/** How {@link ScriptedServer.waitFor} waits. */
export interface WaitForRequestOptions {
  /** How long at most, in ms. Default 5000. */
  readonly boundMs?: number;
  /** What is waited for, in words: the failure says it. */
  readonly what?: string;
  /** Skip so many requests of the log: `requests.length` waits for a new one. Default 0. */
  readonly after?: number;
}

/** An HTTP server on a real socket that follows a script of msw handlers. */
export interface ScriptedServer {
  /** `http://127.0.0.1:port`, without a slash after it. */
  readonly url: string;
  readonly port: number;
  /** Every request so far, oldest first. */
  readonly requests: readonly LoggedRequest[];
  /** How many connections were accepted so far. */
  readonly connections: number;
  /** How many are open now. */
  readonly openConnections: number;
  /** Puts handlers in front of the others. */
  use(...handlers: RequestHandler[]): void;
  /** Forgets what `use` added; with handlers: these become the whole script. */
  reset(...handlers: RequestHandler[]): void;
  /** Resolves with the first logged request that matches; it is asked again when a request's outcome changes. */
  waitFor(predicate: (request: LoggedRequest) => boolean, options?: WaitForRequestOptions): Promise<LoggedRequest>;
  /** Switches a fault on, in place of the one before; `"none"` heals. */
  fault(mode: FaultMode, options?: FaultOptions): Promise<void>;
  /** Stops listening and ends every connection. */
  close(): Promise<void>;
}

/**
 * Starts a server on 127.0.0.1 that is answered by msw handlers over a real socket: msw cannot intercept undici's
 * `Pool`. Paths of handlers may be relative (`/api/tasks`) or begin with `*`. A request that no handler answers gets
 * 501 and is marked `unhandled`; a handler that throws gets 500; `HttpResponse.error()` resets the connection.
 */
export async function startScriptedServer(handlers: RequestHandler[] = []): Promise<ScriptedServer> {
  let base = [...handlers];
  let overlay: RequestHandler[] = [];
  let fault: Fault = { mode: "none", options: {}, left: Infinity };
  let connections = 0;
  const sockets = new Map<net.Socket, number>();
  const requests: Entry[] = [];
  const watchers = new Set<() => void>();

  const notify = () => {
    for (const look of [...watchers]) look();
  };

  // Parses only; the listener hands it the sockets, so that it can stop and start without ending them.
  const parser = http.createServer((request, response) => void answer(request, response));
  // Node would add `Keep-Alive: timeout=5`, which undici obeys; Conductor sends none.
  parser.keepAliveTimeout = 0;
  parser.requestTimeout = 0;
  parser.headersTimeout = 0;
  parser.on("clientError", (_error, socket) => {
    socket.destroy();
  });

  const listener = await listenTcp((socket) => {
    connections++;
    sockets.set(socket, connections);
    // Node's HTTP server does so for sockets that it accepts itself; without it an answer in two writes takes 40 ms.
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    if (isWholesale(fault)) {
      end(socket, fault.mode);
      return;
    }
    parser.emit("connection", socket);
  });
  const url = `http://127.0.0.1:${listener.port}`;

  function end(socket: net.Socket, mode: FaultMode) {
    if (mode === "close") socket.destroy();
    else socket.resetAndDestroy();
  }

  /** Counts a fault down when it meets this request. */
  function faultFor(entry: Entry): Fault | undefined {
    if (fault.mode === "none" || fault.left <= 0) return undefined;
    if (fault.options.when !== undefined && !fault.options.when(entry)) return undefined;
    fault.left--;
    return fault;
  }

  async function answer(request: http.IncomingMessage, response: http.ServerResponse) {
    const { socket } = request;
    const bytes = await readBody(request);
    if (bytes === undefined) return;
    const entry = new Entry(request, bytes, sockets.get(socket) ?? 0);
    requests.push(entry);
    response.once("close", () => {
      if (response.writableFinished || entry.outcome === "dropped") return;
      entry.abandoned = true;
      notify();
    });
    let met = faultFor(entry);
    if (met?.mode === "silent") return finish(entry, "silenced");
    if (met?.mode === "close" || met?.mode === "reset") {
      finish(entry, "dropped");
      end(socket, met.mode);
      return;
    }
    notify();

    let scripted: Response;
    let outcome: Entry["outcome"] = "answered";
    try {
      const found = await getResponse([...overlay, ...base], entry.toRequest(url, bytes), { baseUrl: url });
      if (found === undefined) outcome = "unhandled";
      scripted = found ?? new Response(`no handler for ${entry.method} ${entry.path}`, { status: 501 });
    } catch (error) {
      entry.handlerError = error;
      scripted = new Response(`the handler threw: ${String(error)}`, { status: 500 });
    }
    // A fault that was switched on while the handler held the request.
    met ??= faultFor(entry);
    if (met?.mode === "silent") return finish(entry, "silenced");
    if (met?.mode === "dropAnswer" || met?.mode === "close" || met?.mode === "reset" || scripted.type === "error") {
      finish(entry, "dropped");
      end(socket, met?.mode ?? "reset");
      return;
    }
    if (response.destroyed) return;
    entry.status = scripted.status;
    try {
      const whole = await send(response, scripted, met);
      if (!whole) socket.destroy();
      finish(entry, whole ? outcome : "dropped");
    } catch (error) {
      // The body's stream failed: so does the answer.
      entry.handlerError = error;
      finish(entry, "dropped");
      socket.destroy();
    }
  }

  function finish(entry: Entry, outcome: Entry["outcome"]) {
    entry.outcome = outcome;
    notify();
  }

  return {
    url,
    port: listener.port,
    requests,
    get connections() {
      return connections;
    },
    get openConnections() {
      return sockets.size;
    },
    use(...added) {
      overlay = [...added, ...overlay];
    },
    reset(...next) {
      overlay = [];
      if (next.length > 0) base = next;
    },
    waitFor(predicate, { boundMs = 5_000, what = "a matching request", after = 0 } = {}) {
      return new Promise((resolve, reject) => {
        const settle = (done: () => void) => {
          clearTimeout(timer);
          watchers.delete(look);
          done();
        };
        const look = () => {
          try {
            const found = requests.slice(after).find(predicate);
            if (found !== undefined) {
              settle(() => {
                resolve(found);
              });
            }
          } catch (error) {
            settle(() => {
              reject(error);
            });
          }
        };
        const timer = setTimeout(() => {
          settle(() => {
            const seen = requests.slice(after).map((entry) => `  ${entry.toString()}`);
            const log = seen.length === 0 ? "  nothing" : seen.slice(-20).join("\n");
            reject(new Error(`not within ${boundMs} ms: ${what}; ${seen.length} requests came:\n${log}`));
          });
        }, boundMs);
        watchers.add(look);
        look();
      });
    },
    async fault(mode, options = {}) {
      if (mode === "refuse" && (options.when !== undefined || options.times !== undefined)) {
        throw new TypeError("fault: a refused connection has no request, so `refuse` takes neither `when` nor `times`");
      }
      fault = { mode, options, left: options.times ?? Infinity };
      if (mode === "refuse") listener.refuse();
      else await listener.accept();
      if (isWholesale(fault)) for (const socket of sockets.keys()) end(socket, mode);
    },
    close() {
      listener.refuse();
      const open = [...sockets.keys()];
      const closed = open.map((socket) => new Promise((resolve) => socket.once("close", resolve)));
      for (const socket of open) socket.destroy();
      return Promise.all(closed).then(() => {});
    },
  };
}

interface Fault {
  readonly mode: FaultMode;
  readonly options: FaultOptions;
  left: number;
}

/** Faults that meet connections, whatever they carry. */
function isWholesale({ mode, options }: Fault): boolean {
  if (mode === "refuse") return true;
  return (mode === "close" || mode === "reset") && options.when === undefined && options.times === undefined;
}

class Entry implements LoggedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers = new Headers();
  readonly body: string;
  readonly receivedAtMs = performance.now();
  readonly connectionId: number;
  readonly #target: string;
  outcome: LoggedRequest["outcome"] = "pending";
  status: number | undefined;
  abandoned = false;
  handlerError: unknown;

  constructor(request: http.IncomingMessage, bytes: Buffer<ArrayBuffer>, connectionId: number) {
    this.method = request.method ?? "GET";
    this.#target = request.url ?? "/";
    const url = new URL(this.#target, "http://127.0.0.1");
    this.path = url.pathname;
    this.query = url.searchParams;
    for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
      this.headers.append(request.rawHeaders[i]!, request.rawHeaders[i + 1]!);
    }
    this.body = bytes.toString("utf8");
    this.connectionId = connectionId;
  }

  json<T = unknown>(): T {
    return JSON.parse(this.body) as T;
  }

  toRequest(serverUrl: string, bytes: Buffer<ArrayBuffer>): Request {
    const bodiless = this.method === "GET" || this.method === "HEAD";
    return new Request(new URL(this.#target, serverUrl), {
      method: this.method,
      headers: this.headers,
      ...(bodiless ? {} : { body: bytes }),
    });
  }

  toString(): string {
    const end = this.abandoned ? ", abandoned by the client" : "";
    return `${this.method} ${this.#target} on connection ${this.connectionId}: ${this.status ?? ""} ${this.outcome}${end}`;
  }
}

/** The whole body; `undefined` when the client left before it was there. */
async function readBody(request: http.IncomingMessage): Promise<Buffer<ArrayBuffer> | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

/** Sends status, headers and body as they are scripted; false when a fault ended it early. */
async function send(response: http.ServerResponse, scripted: Response, fault: Fault | undefined): Promise<boolean> {
  const headers: string[] = [];
  for (const [name, value] of scripted.headers) headers.push(name, value);
  const bodiless = scripted.status === 204 || scripted.status === 304;
  if (scripted.body === null) {
    if (!bodiless && !scripted.headers.has("content-length")) headers.push("content-length", "0");
    response.writeHead(scripted.status, scripted.statusText, headers).end();
    return true;
  }
  if (fault?.mode === "drip" || fault?.mode === "cut") {
    const body = Buffer.from(await scripted.arrayBuffer());
    response.writeHead(scripted.status, scripted.statusText, headers);
    if (fault.mode === "cut") {
      await write(response, body.subarray(0, fault.options.afterBytes ?? Math.floor(body.length / 2)));
      return false;
    }
    for (let i = 0; i < body.length && !response.destroyed; i++) {
      await write(response, body.subarray(i, i + 1));
      await new Promise((resolve) => setTimeout(resolve, fault.options.intervalMs ?? 20));
    }
    response.end();
    return true;
  }
  response.writeHead(scripted.status, scripted.statusText, headers);
  for await (const chunk of scripted.body as AsyncIterable<Uint8Array>) {
    if (response.destroyed) return true;
    await write(response, chunk);
  }
  response.end();
  return true;
}

/** Resolves when the bytes are with the kernel, or the connection is gone. */
function write(response: http.ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed) {
      resolve();
      return;
    }
    response.flushHeaders();
    if (bytes.length === 0) setImmediate(resolve);
    else
      response.write(bytes, () => {
        resolve();
      });
  });
}

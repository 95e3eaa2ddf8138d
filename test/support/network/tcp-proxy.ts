import net from "node:net";
import { listenTcp } from "./tcp-listener.js";

/** Slows the answers' bytes. */
export interface DripOptions {
  /** How many bytes at a time. Default 1. */
  readonly bytes?: number;
  /** The pause after each, in ms. Default 20. */
  readonly everyMs?: number;
}

/** Which answers {@link TcpProxy.cutNextAnswer} cuts, and where. */
export interface CutOptions {
  /** Only answers to requests with such a head (request line and headers). Default: any. */
  readonly when?: (head: string) => boolean;
  /** How many answers. Default 1. */
  readonly times?: number;
  /** How many bytes of the answer, head included, still reach the client. Default 0. */
  readonly afterBytes?: number;
  /** How the client's connection ends. Default `reset`. */
  readonly how?: "reset" | "close";
}

/** Which requests something is done to. */
export interface RequestChoice {
  /** Only requests with such a head (request line and headers). Default: any. */
  readonly when?: (head: string) => boolean;
  /** How many of them. Default 1. */
  readonly times?: number;
}

/** What {@link TcpProxy.closeAtReuse} does. */
export interface CloseAtReuseOptions extends RequestChoice {
  /** How the client's connection ends. Default `close`. */
  readonly how?: "reset" | "close";
}

/** Mischief that was asked for. */
export interface Cuts {
  /** The heads of the requests that it met so far. An answer that ended before the cut was not met. */
  readonly heads: readonly string[];
  /** No more of it. */
  cancel(): void;
}

/** Where a proxy listens. */
export interface TcpProxyOptions {
  /** An address of this machine's loopback. Default `127.0.0.1`. */
  readonly host?: string;
  /** Default: any that is free. */
  readonly port?: number;
}

/** A TCP proxy that misbehaves on request. It speaks HTTP/1.1 without pipelining where it looks at requests at all. */
export interface TcpProxy {
  /** `http://address:port`, without a slash after it. */
  readonly url: string;
  readonly port: number;
  /** How many connections were accepted so far. */
  readonly connections: number;
  /** How many are open now, silenced ones included. */
  readonly openConnections: number;
  /** How many were silenced so far. */
  readonly silencedConnections: number;
  /** How many bytes were forwarded, to the server and to the client. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /**
   * The connections that exist now go silent for good: nothing is read or forwarded, no FIN, no RST, not even when one
   * side leaves. New connections work. The kernel goes on acknowledging, so TCP keep-alive does not find out.
   */
  silenceEstablished(): void;
  /** From now on every byte, either way, arrives this much later. 0 ends it. */
  delay(ms: number): void;
  /** From now on answers trickle. `null` ends it. */
  drip(options: DripOptions | null): void;
  /** Forwards the request, then ends the client's connection when its answer begins: applied, but the answer is lost. */
  cutNextAnswer(options?: CutOptions): Cuts;
  /**
   * When a connection that has carried an answer is used again, it ends in place of the request, which never reaches the
   * server: as if the server had closed it while the request was on its way.
   */
  closeAtReuse(options?: CloseAtReuseOptions): Cuts;
  /** Sends the answer to a request twice in a row: the second one answers nothing that was asked. */
  duplicateNextAnswer(options?: RequestChoice): Cuts;
  /** New connections are accepted, and nothing is ever read from them: a listener whose process hangs. */
  swallowNew(on: boolean): void;
  /** Resets every connection, on both sides. */
  resetAll(): void;
  /** New connections are refused; established ones live on. */
  refuse(): void;
  /** Listens again, on the same port. */
  accept(): Promise<void>;
  /** Stops listening and ends every connection. */
  close(): Promise<void>;
}

/** Starts a proxy on the loopback in front of `target`: a port of 127.0.0.1, or the URL of a server. */
export async function startTcpProxy(target: number | string, options: TcpProxyOptions = {}): Promise<TcpProxy> {
  const upstream =
    typeof target === "number"
      ? { host: "127.0.0.1", port: target }
      : { host: new URL(target).hostname, port: portOf(target) };
  const pairs = new Set<Pair>();
  const orders = new Set<Order>();
  const shape: Shape = { delayMs: 0, drip: null, bytesUp: 0, bytesDown: 0, find, use };
  let connections = 0;
  let silencedConnections = 0;
  let swallows = false;

  function find(head: string, isReused: boolean): Order | undefined {
    for (const order of orders) {
      if (order.left <= 0 || (order.kind === "closeAtReuse" && !isReused)) continue;
      if (order.when === undefined || order.when(head)) return order;
    }
    return undefined;
  }

  /** Requests may wait for their answers side by side; the first whose moment comes meets the mischief. */
  function use(order: Order, head: string): boolean {
    if (order.left <= 0 || !orders.has(order)) return false;
    order.left--;
    order.heads.push(head);
    return true;
  }

  function give(order: Order): Cuts {
    orders.add(order);
    return { heads: order.heads, cancel: () => void orders.delete(order) };
  }

  const listener = await listenTcp(
    (client) => {
      connections++;
      const pair = new Pair(client, net.connect({ ...upstream, allowHalfOpen: true }), shape);
      pairs.add(pair);
      pair.onClosed(() => pairs.delete(pair));
      if (swallows) pair.silence();
    },
    { allowHalfOpen: true },
    options,
  );

  return {
    url: `http://${options.host ?? "127.0.0.1"}:${listener.port}`,
    port: listener.port,
    get connections() {
      return connections;
    },
    get openConnections() {
      return pairs.size;
    },
    get silencedConnections() {
      return silencedConnections;
    },
    get bytesUp() {
      return shape.bytesUp;
    },
    get bytesDown() {
      return shape.bytesDown;
    },
    silenceEstablished() {
      for (const pair of pairs) if (pair.silence()) silencedConnections++;
    },
    delay(ms) {
      shape.delayMs = ms;
    },
    drip(options) {
      shape.drip = options === null ? null : { bytes: options.bytes ?? 1, everyMs: options.everyMs ?? 20 };
    },
    cutNextAnswer({ when, times = 1, afterBytes = 0, how = "reset" } = {}) {
      return give({ kind: "cut", when, left: times, heads: [], afterBytes, how });
    },
    closeAtReuse({ when, times = 1, how = "close" } = {}) {
      return give({ kind: "closeAtReuse", when, left: times, heads: [], how });
    },
    duplicateNextAnswer({ when, times = 1 } = {}) {
      return give({ kind: "duplicate", when, left: times, heads: [] });
    },
    swallowNew(on) {
      swallows = on;
    },
    resetAll() {
      for (const pair of [...pairs]) pair.reset();
    },
    refuse() {
      listener.refuse();
    },
    accept: () => listener.accept(),
    async close() {
      listener.refuse();
      await Promise.all([...pairs].map((pair) => pair.destroy()));
    },
  };
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  return port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);
}

/** Mischief that waits for its request. */
type Order = {
  readonly when: ((head: string) => boolean) | undefined;
  readonly heads: string[];
  left: number;
} & (
  | { readonly kind: "cut"; readonly afterBytes: number; readonly how: "reset" | "close" }
  | { readonly kind: "closeAtReuse"; readonly how: "reset" | "close" }
  | { readonly kind: "duplicate" }
);

/** An order that has met its request, until the answer is through. */
interface Pending {
  readonly order: Order;
  readonly head: string;
  /** Of a cut: how much of the answer may still pass. */
  bytesLeft: number;
  /** Of a duplicate: the answer as far as it has come. */
  readonly seen: Buffer[];
}

/** What all pairs share. */
interface Shape {
  delayMs: number;
  drip: Required<DripOptions> | null;
  bytesUp: number;
  bytesDown: number;
  /** What is in store for a request with this head. */
  readonly find: (head: string, isReused: boolean) => Order | undefined;
  /** Its moment has come; false when it was called off, or has met others. */
  readonly use: (order: Order, head: string) => boolean;
}

/** One client's connection and ours to the server for it. */
class Pair {
  readonly #client: net.Socket;
  readonly #server: net.Socket;
  readonly #up: Flow;
  readonly #down: Flow;
  readonly #shape: Shape;
  #silenced = false;
  /** The head of the request that is being read; `undefined` between its end and the answer's first byte. */
  #head: string | undefined = "";
  #hasAnswered = false;
  #pending: Pending | undefined;

  constructor(client: net.Socket, server: net.Socket, shape: Shape) {
    this.#client = client;
    this.#server = server;
    this.#shape = shape;
    client.setNoDelay(true);
    server.setNoDelay(true);
    this.#up = new Flow(client, server, shape, (bytes) => {
      shape.bytesUp += bytes;
    });
    this.#down = new Flow(
      server,
      client,
      shape,
      (bytes) => {
        shape.bytesDown += bytes;
      },
      () => shape.drip,
    );
    client.on("data", (bytes: Buffer) => {
      if (this.#lookAtRequest(bytes)) this.#up.push(bytes);
    });
    server.on("data", (bytes: Buffer) => {
      this.#head ??= "";
      this.#hasAnswered = true;
      if (this.#cutHere(bytes)) return;
      this.#down.push(bytes);
      this.#duplicateHere(bytes);
    });
    for (const [socket, other, flow] of [
      [client, server, this.#up],
      [server, client, this.#down],
    ] as const) {
      socket.on("error", () => {});
      socket.once("end", () => {
        flow.push(undefined);
      });
      socket.once("close", (hadError: boolean) => {
        if (this.#silenced) return;
        if (hadError) other.resetAndDestroy();
      });
    }
  }

  onClosed(callback: () => void): void {
    let open = 2;
    const closed = () => {
      if (--open > 0) return;
      this.#up.stop();
      this.#down.stop();
      callback();
    };
    this.#client.once("close", closed);
    this.#server.once("close", closed);
  }

  /** True when it was not silent before. */
  silence(): boolean {
    if (this.#silenced) return false;
    this.#silenced = true;
    this.#up.stop();
    this.#down.stop();
    this.#client.pause();
    this.#server.pause();
    return true;
  }

  reset(): void {
    this.#up.stop();
    this.#down.stop();
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
  }

  async destroy(): Promise<void> {
    this.#up.stop();
    this.#down.stop();
    await Promise.all(
      [this.#client, this.#server].map(
        (socket) =>
          new Promise<void>((resolve) => {
            if (socket.closed) resolve();
            else
              socket.once("close", () => {
                resolve();
              });
            socket.destroy();
          }),
      ),
    );
  }

  /** False when the connection was ended in place of this request. */
  #lookAtRequest(bytes: Buffer): boolean {
    if (this.#head === undefined) return true;
    const isFirst = this.#head === "";
    this.#head += bytes.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end < 0) return true;
    const head = this.#head.slice(0, end);
    this.#head = undefined;
    // An answer that was shorter than the cut meant for it went through as it was.
    this.#pending = undefined;
    const order = this.#shape.find(head, this.#hasAnswered);
    if (order === undefined) return true;
    if (order.kind === "closeAtReuse") {
      if (!isFirst) throw new Error("closeAtReuse: the head of a request came in pieces, and some have been forwarded");
      if (!this.#shape.use(order, head)) return true;
      this.#end(order);
      return false;
    }
    this.#pending = { order, head, bytesLeft: order.kind === "cut" ? order.afterBytes : 0, seen: [] };
    return true;
  }

  #end(order: Order & { readonly how: "reset" | "close" }): void {
    this.#up.stop();
    this.#down.stop();
    if (order.how === "reset") {
      this.reset();
      return;
    }
    this.#client.destroy();
    this.#server.destroy();
  }

  /** True when it dealt with these bytes of an answer. */
  #cutHere(bytes: Buffer): boolean {
    const pending = this.#pending;
    if (pending?.order.kind !== "cut") return false;
    const { order, head } = pending;
    if (pending.bytesLeft >= bytes.length) {
      // Not there yet, or just there: the next bytes, if any, are one too many.
      pending.bytesLeft -= bytes.length;
      return false;
    }
    const last = bytes.subarray(0, pending.bytesLeft);
    this.#pending = undefined;
    if (!this.#shape.use(order, head)) return false;
    this.#up.stop();
    this.#down.stop();
    this.#server.pause();
    if (last.length === 0) this.#end(order);
    else {
      this.#shape.bytesDown += last.length;
      this.#client.write(last, () => {
        this.#end(order);
      });
    }
    return true;
  }

  #duplicateHere(bytes: Buffer): void {
    const pending = this.#pending;
    if (pending?.order.kind !== "duplicate") return;
    pending.seen.push(bytes);
    const answer = Buffer.concat(pending.seen);
    if (!isWholeAnswer(answer)) return;
    this.#pending = undefined;
    if (this.#shape.use(pending.order, pending.head)) this.#down.push(answer);
  }
}

/** Whether these bytes are an answer with a known length, from its first byte to its last. */
function isWholeAnswer(bytes: Buffer): boolean {
  const text = bytes.toString("latin1");
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1];
  if (length !== undefined) return text.length >= end + 4 + Number(length);
  if (/\r\ntransfer-encoding: *chunked/i.test(text.slice(0, end))) return text.endsWith("0\r\n\r\n");
  return true;
}

interface Chunk {
  /** `undefined` is the end of the stream. */
  readonly bytes: Buffer | undefined;
  readonly dueMs: number;
}

/** One direction of a pair: late, slow, or straight through. */
class Flow {
  readonly #from: net.Socket;
  readonly #to: net.Socket;
  readonly #shape: Shape;
  readonly #count: (bytes: number) => void;
  readonly #drip: () => Required<DripOptions> | null;
  readonly #queue: Chunk[] = [];
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(
    from: net.Socket,
    to: net.Socket,
    shape: Shape,
    count: (bytes: number) => void,
    drip: () => Required<DripOptions> | null = () => null,
  ) {
    this.#from = from;
    this.#to = to;
    this.#shape = shape;
    this.#count = count;
    this.#drip = drip;
  }

  push(bytes: Buffer | undefined): void {
    if (this.#stopped) return;
    this.#queue.push({ bytes, dueMs: performance.now() + this.#shape.delayMs });
    this.#pump();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#queue.length = 0;
  }

  #pump(): void {
    if (this.#timer !== undefined) return;
    for (let chunk = this.#queue[0]; chunk !== undefined; chunk = this.#queue[0]) {
      const waitMs = chunk.dueMs - performance.now();
      if (waitMs > 0) {
        this.#later(waitMs);
        return;
      }
      this.#queue.shift();
      if (chunk.bytes === undefined) {
        this.#to.end();
        continue;
      }
      const drip = this.#drip();
      if (drip === null) {
        this.#write(chunk.bytes);
        continue;
      }
      const rest = chunk.bytes.subarray(drip.bytes);
      if (rest.length > 0) this.#queue.unshift({ bytes: rest, dueMs: chunk.dueMs });
      this.#write(chunk.bytes.subarray(0, drip.bytes));
      this.#later(drip.everyMs);
      return;
    }
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
    }, ms);
  }

  #write(bytes: Buffer): void {
    this.#count(bytes.length);
    if (this.#to.write(bytes) || this.#from.isPaused()) return;
    this.#from.pause();
    this.#to.once("drain", () => {
      if (!this.#stopped) this.#from.resume();
    });
  }
}

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

/** Cuts that were asked for. */
export interface Cuts {
  /** The heads of the requests whose answers were cut, so far. */
  readonly heads: readonly string[];
  /** No more of them. */
  cancel(): void;
}

/** A TCP proxy that misbehaves on request. It speaks HTTP/1.1 without pipelining where it looks at requests at all. */
export interface TcpProxy {
  /** `http://127.0.0.1:port`, without a slash after it. */
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
  /** Resets every connection, on both sides. */
  resetAll(): void;
  /** New connections are refused; established ones live on. */
  refuse(): void;
  /** Listens again, on the same port. */
  accept(): Promise<void>;
  /** Stops listening and ends every connection. */
  close(): Promise<void>;
}

/** Starts a proxy on 127.0.0.1 in front of `target`: a port of 127.0.0.1, or the URL of a server. */
export async function startTcpProxy(target: number | string): Promise<TcpProxy> {
  const upstream =
    typeof target === "number"
      ? { host: "127.0.0.1", port: target }
      : { host: new URL(target).hostname, port: portOf(target) };
  const pairs = new Set<Pair>();
  const cuts = new Set<Cut>();
  const shape: Shape = { delayMs: 0, drip: null, bytesUp: 0, bytesDown: 0, takeCut };
  let connections = 0;
  let silencedConnections = 0;

  function takeCut(head: string): Cut | undefined {
    for (const cut of cuts) {
      if (cut.left <= 0 || (cut.options.when !== undefined && !cut.options.when(head))) continue;
      cut.left--;
      return cut;
    }
    return undefined;
  }

  const listener = await listenTcp(
    (client) => {
      connections++;
      const pair = new Pair(client, net.connect({ ...upstream, allowHalfOpen: true }), shape);
      pairs.add(pair);
      pair.onClosed(() => pairs.delete(pair));
    },
    { allowHalfOpen: true },
  );

  return {
    url: `http://127.0.0.1:${listener.port}`,
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
    cutNextAnswer(options = {}) {
      const cut: Cut = { options, left: options.times ?? 1, heads: [] };
      cuts.add(cut);
      return { heads: cut.heads, cancel: () => void cuts.delete(cut) };
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

interface Cut {
  readonly options: CutOptions;
  readonly heads: string[];
  left: number;
}

/** What all pairs share. */
interface Shape {
  delayMs: number;
  drip: Required<DripOptions> | null;
  bytesUp: number;
  bytesDown: number;
  readonly takeCut: (head: string) => Cut | undefined;
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
  #cut: { readonly cut: Cut; readonly head: string; bytesLeft: number } | undefined;

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
      this.#lookAtRequest(bytes);
      this.#up.push(bytes);
    });
    server.on("data", (bytes: Buffer) => {
      if (!this.#cutHere(bytes)) this.#down.push(bytes);
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

  #lookAtRequest(bytes: Buffer): void {
    if (this.#head === undefined) return;
    this.#head += bytes.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.#head.slice(0, end);
    this.#head = undefined;
    const cut = this.#shape.takeCut(head);
    if (cut !== undefined) this.#cut = { cut, head, bytesLeft: cut.options.afterBytes ?? 0 };
  }

  /** True when it dealt with these bytes of an answer. */
  #cutHere(bytes: Buffer): boolean {
    this.#head ??= "";
    const pending = this.#cut;
    if (pending === undefined) return false;
    if (pending.bytesLeft >= bytes.length) {
      // Not there yet, or just there: the next bytes, if any, are one too many.
      pending.bytesLeft -= bytes.length;
      return false;
    }
    const last = bytes.subarray(0, pending.bytesLeft);
    const end = () => {
      pending.cut.heads.push(pending.head);
      if (pending.cut.options.how === "close") {
        this.#client.destroy();
        this.#server.destroy();
      } else this.reset();
    };
    this.#cut = undefined;
    this.#up.stop();
    this.#down.stop();
    this.#server.pause();
    if (last.length === 0) end();
    else {
      this.#shape.bytesDown += last.length;
      this.#client.write(last, end);
    }
    return true;
  }
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

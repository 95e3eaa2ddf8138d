import { Socket } from "node:net";
import { Pool, type buildConnector, type Dispatcher } from "undici";

/** How long an idle connection is kept when the server does not say. */
const KEEP_ALIVE_TIMEOUT_MS = 4_000;
/** The cap on what the server's `Keep-Alive` hint may ask for; without it the hint overrides everything. */
const KEEP_ALIVE_MAX_TIMEOUT_MS = 30_000;
/** Taken off the server's hint, so that we close first. */
const KEEP_ALIVE_THRESHOLD_MS = 1_000;

export interface GenerationOptions {
  readonly origin: string;
  /** Shared by all generations, so that TLS sessions are resumed after a swap. */
  readonly connector: buildConnector.connector;
  readonly maxConnections: number;
  /** When it was made, on the monotonic clock, in ms. */
  readonly bornAtMs: number;
}

/**
 * The connections of one lane that were opened after the same swap: one undici pool, and a count of what runs on it.
 * A retired generation takes no new work, finishes what it has and is gone. What still runs on it is never cut short:
 * the server may be answering it.
 */
export class Generation {
  readonly bornAtMs: number;
  /** Requests handed to the pool that have not ended. */
  unsettled = 0;
  /** Requests handed to the pool that undici has not begun to write. */
  unstarted = 0;

  readonly #pool: Pool;
  readonly #connecting = new Set<Socket>();
  readonly #connectErrors = new WeakSet<Error>();
  #closed: Promise<void> | undefined;
  #resolveClosed: () => void = () => {};
  #destroyed = false;

  constructor(options: GenerationOptions) {
    this.bornAtMs = options.bornAtMs;
    this.#pool = new Pool(options.origin, {
      connections: options.maxConnections,
      allowH2: false,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_TIMEOUT_MS,
      keepAliveTimeoutThreshold: KEEP_ALIVE_THRESHOLD_MS,
      connect: (connectOptions, callback) => {
        this.#connect(options.connector, connectOptions, callback);
      },
    });
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.#pool.dispatch(options, handler);
  }

  /** True when `error` ended an attempt to connect, false when it ended a connection. */
  isConnectError(error: Error): boolean {
    return this.#connectErrors.has(error);
  }

  /** One request has ended. */
  release(): void {
    this.unsettled -= 1;
    // Not at once: undici may be in the middle of telling us that the request has ended.
    if (this.unsettled === 0 && this.#closed !== undefined) {
      queueMicrotask(() => {
        this.#destroy();
      });
    }
  }

  /** Takes no new work from here on; resolves when the last socket is closed. Idempotent. */
  retire(): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = new Promise((resolve) => {
        this.#resolveClosed = resolve;
      });
      // Closes the idle connections now. That it may be destroyed before it is done is not an error.
      this.#pool.close().catch(() => {});
      if (this.unsettled === 0) this.#destroy();
    }
    return this.#closed;
  }

  /** With nothing left to lose: also ends connections that are still being made for requests that have ended. */
  #destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const socket of this.#connecting) socket.destroy(new Error("the connection is no longer wanted"));
    this.#pool.destroy().then(this.#resolveClosed, this.#resolveClosed);
  }

  #connect(
    connector: buildConnector.connector,
    options: buildConnector.Options,
    callback: buildConnector.Callback,
  ): void {
    // After an abort undici connects again before it notices that nobody is waiting: a needless handshake each time.
    if (this.unstarted === 0) {
      queueMicrotask(() => {
        callback(new Error("no request is waiting for a connection"), null);
      });
      return;
    }
    const socket: unknown = connector(options, (...result) => {
      if (result[0] !== null) this.#connectErrors.add(result[0]);
      if (socket instanceof Socket) this.#connecting.delete(socket);
      callback(...result);
    });
    if (socket instanceof Socket) this.#connecting.add(socket);
  }
}

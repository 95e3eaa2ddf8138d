import { inspect } from "node:util";
import type { Clock } from "../clock.js";
import type { Exchange, HttpRequest, Transport } from "./exchange.js";

/** A string that shows itself to nobody who does not ask for it by name. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [inspect.custom](): string {
    return "[secret]";
  }
}

/** An access key of Orkes Conductor. */
export interface Credentials {
  readonly keyId: string;
  readonly keySecret: Secret;
}

/** What asking for a token came to. */
export type TokenAnswer =
  | { readonly kind: "token"; readonly token: string }
  /** The server has no token endpoint: it wants none. */
  | { readonly kind: "anonymous" }
  | { readonly kind: "failed"; readonly exchange: Exchange };

/** What a token is worth when it does not say so itself, in ms. */
const DEFAULT_LIFETIME_MS = 45 * 60_000;
/** The share of its lifetime after which a token is replaced in the background. */
const REFRESH_SHARE = 0.8;
const MIN_REFRESH_MS = 10_000;
/** Between two attempts in the background, in ms. */
const BACKGROUND_PAUSE_MS = 30_000;

/**
 * The one token of a process. It is asked for on a path of its own that needs no token, with a deadline of its own, by
 * one request at a time; who waits for it waits for that deadline at most.
 */
export class TokenSource {
  readonly #transport: Transport;
  readonly #credentials: Credentials;
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  #token: string | undefined;
  #refreshAt = Infinity;
  #anonymous = false;
  #asking: Promise<TokenAnswer> | undefined;

  constructor(transport: Transport, credentials: Credentials, clock: Clock, deadlineMs: number) {
    this.#transport = transport;
    this.#credentials = credentials;
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
  }

  /** What is known without asking; `undefined` before the first answer. Old tokens are replaced in the background. */
  get current(): TokenAnswer | undefined {
    if (this.#anonymous) return { kind: "anonymous" };
    if (this.#token === undefined) return undefined;
    if (this.#clock.now() >= this.#refreshAt) {
      this.#refreshAt = this.#clock.now() + BACKGROUND_PAUSE_MS;
      void this.ask(this.#token);
    }
    return { kind: "token", token: this.#token };
  }

  /**
   * A token other than `rejected` (`undefined`: the request was sent without one). Asks the server only if the rejected
   * one is still the present one: somebody else may have replaced it meanwhile. Never rejects.
   */
  ask(rejected: string | undefined): Promise<TokenAnswer> {
    if (this.#token !== undefined && this.#token !== rejected) {
      return Promise.resolve({ kind: "token", token: this.#token });
    }
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<TokenAnswer> {
    const { keyId, keySecret } = this.#credentials;
    const request: HttpRequest = {
      lane: "main",
      method: "POST",
      path: "/token",
      pathTemplate: "/token",
      body: JSON.stringify({ keyId, keySecret: keySecret.reveal() }),
      deadlineMs: this.#deadlineMs,
    };
    const exchange = await this.#transport.request(request);
    if (exchange.kind === "answered" && exchange.status === 404) {
      this.#anonymous = true;
      this.#token = undefined;
      return { kind: "anonymous" };
    }
    if (exchange.kind !== "answered" || exchange.status >= 300) return { kind: "failed", exchange };
    const token = tokenIn(exchange.body);
    if (token === undefined) {
      const message = "the token endpoint's answer contains no token";
      return { kind: "failed", exchange: { kind: "notSent", fault: { code: "MALFORMED_RESPONSE", message } } };
    }
    this.#anonymous = false;
    this.#token = token;
    const lifetimeMs = lifetimeOf(token, this.#clock.wallNow()) ?? DEFAULT_LIFETIME_MS;
    this.#refreshAt = this.#clock.now() + Math.max(MIN_REFRESH_MS, lifetimeMs * REFRESH_SHARE);
    return { kind: "token", token };
  }
}

function tokenIn(body: string): string | undefined {
  try {
    const { token } = JSON.parse(body) as { token?: unknown };
    // It goes into a header.
    return typeof token === "string" && /^[\x21-\x7e]+$/.test(token) ? token : undefined;
  } catch {
    return undefined;
  }
}

/** How long a JWT is still good for, in ms; `undefined` when it is none or does not say. */
function lifetimeOf(token: string, nowMs: number): number | undefined {
  try {
    const payload = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { exp?: unknown };
    return typeof payload.exp === "number" ? payload.exp * 1000 - nowMs : undefined;
  } catch {
    return undefined;
  }
}

import { inspect } from "node:util";
import type { Clock } from "../base/clock.js";
import type { Exchange, HttpRequest, Transport } from "./exchange.js";
import { notSent } from "./fault.js";

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
  /** `exchange` is what the request that wanted the token ends in. */
  | { readonly kind: "failed"; readonly exchange: Exchange };

/** What became of asking for a token, for logs. `message` is free of secrets. */
export type TokenEvent =
  { readonly kind: "obtained" | "anonymous" } | { readonly kind: "failed"; readonly message: string };

export interface TokenSourceOptions {
  readonly transport: Transport;
  readonly credentials: Credentials;
  readonly clock: Clock;
  /** Total time of one request for a token, in ms. */
  readonly deadlineMs: number;
  readonly onEvent: (event: TokenEvent) => void;
}

/** What a token is worth when it does not say so itself, in ms. */
const DEFAULT_LIFETIME_MS = 45 * 60_000;
/** The share of its lifetime after which a token is replaced in the background. */
const REFRESH_SHARE = 0.8;
const MIN_REFRESH_MS = 10_000;
/** While requests go without a token it is asked for one again after this long, in ms; doubled each time, up to the second. */
const FIRST_ANONYMOUS_MS = 5_000;
const MAX_ANONYMOUS_MS = 600_000;
/** A request that is refused without a token has it asked for at once, and then not again for this long, in ms. */
const ASK_ON_REFUSAL_MS = 1_000;
/** Between two attempts in the background: this share of the lifetime, within these limits, in ms. */
const PAUSE_SHARE = 0.05;
const MIN_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;

/**
 * The one token of a process. It is asked for on a path of its own that needs no token, with a deadline of its own, by
 * one request at a time; who waits for it brings a deadline, too. It sets no timers: use makes it refresh.
 */
export class TokenSource {
  readonly #options: TokenSourceOptions;
  readonly #redact: (text: string) => string;
  #token: string | undefined;
  /** The server has said of `#token` that it is no good. */
  #isDead = false;
  #refreshAt = Infinity;
  #pauseMs = MAX_PAUSE_MS;
  /** The server has no token endpoint, as it seems: until when that is believed, by the clock. */
  #anonymousUntil: number | undefined;
  #anonymousMs = FIRST_ANONYMOUS_MS;
  #askedAt = -Infinity;
  #asking: Promise<TokenAnswer> | undefined;

  constructor(options: TokenSourceOptions) {
    this.#options = options;
    this.#redact = redactor(options.credentials.keySecret.reveal());
  }

  /** What is known without asking; `undefined`: ask. A token that grows old is replaced in the background. */
  known(): Exclude<TokenAnswer, { kind: "failed" }> | undefined {
    if (this.#anonymousUntil !== undefined) {
      // It may have been the answer of a gateway, or of a server that was about to start.
      if (this.#options.clock.now() >= this.#anonymousUntil) this.#askInBackground();
      return { kind: "anonymous" };
    }
    if (this.#token === undefined || this.#isDead) return undefined;
    const now = this.#options.clock.now();
    if (now >= this.#refreshAt) {
      this.#refreshAt = now + this.#pauseMs;
      void this.#askOnce();
    }
    return { kind: "token", token: this.#token };
  }

  #askInBackground(): void {
    this.#anonymousUntil = this.#options.clock.now() + this.#anonymousMs;
    this.#anonymousMs = Math.min(this.#anonymousMs * 2, MAX_ANONYMOUS_MS);
    void this.#askOnce();
  }

  /**
   * Whether to ask for a token because a request without one was refused. A refusal may be about rights, so not each time.
   */
  get mayAskOnRefusal(): boolean {
    return this.#options.clock.now() - this.#askedAt >= ASK_ON_REFUSAL_MS;
  }

  /**
   * A token other than `rejected` (`undefined`: the request went without one). Asks the server only if the rejected one
   * is still the present one: somebody else may have replaced it meanwhile. Never rejects.
   *
   * @param isDead the server named the token as the reason. Otherwise it stays in use until there is another.
   */
  replace(rejected: string | undefined, isDead: boolean): Promise<TokenAnswer> {
    if (this.#token !== undefined && !this.#isDead && this.#token !== rejected) {
      return Promise.resolve({ kind: "token", token: this.#token });
    }
    if (isDead && this.#token !== undefined) this.#isDead = true;
    return this.#askOnce();
  }

  #askOnce(): Promise<TokenAnswer> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<TokenAnswer> {
    const { transport, credentials, clock, deadlineMs } = this.#options;
    const request: HttpRequest = {
      lane: "main",
      method: "POST",
      path: "/token",
      pathTemplate: "/token",
      body: JSON.stringify({ keyId: credentials.keyId, keySecret: credentials.keySecret.reveal() }),
      deadlineMs,
    };
    this.#askedAt = clock.now();
    const exchange = await transport.request(request);
    const hasUsableToken = this.#token !== undefined && !this.#isDead;
    // While a token works there is a token endpoint; such a 404 is a proxy's, or of a server that restarts.
    if (exchange.kind === "answered" && exchange.status === 404 && !hasUsableToken) {
      const isNews = this.#anonymousUntil === undefined;
      this.#anonymousUntil ??= clock.now() + this.#anonymousMs;
      this.#token = undefined;
      this.#isDead = false;
      if (isNews) this.#tell({ kind: "anonymous" });
      return { kind: "anonymous" };
    }
    const token = exchange.kind === "answered" && exchange.status < 300 ? tokenIn(exchange.body) : undefined;
    if (token === undefined) {
      const failure = asTokenFailure(exchange, this.#redact);
      this.#tell({ kind: "failed", message: failure.message });
      return { kind: "failed", exchange: failure.exchange };
    }
    this.#anonymousUntil = undefined;
    this.#anonymousMs = FIRST_ANONYMOUS_MS;
    this.#token = token;
    this.#isDead = false;
    const lifetimeMs = lifetimeOf(token, clock.wallNow()) ?? DEFAULT_LIFETIME_MS;
    this.#refreshAt = clock.now() + Math.max(MIN_REFRESH_MS, lifetimeMs * REFRESH_SHARE);
    this.#pauseMs = Math.min(Math.max(lifetimeMs * PAUSE_SHARE, MIN_PAUSE_MS), MAX_PAUSE_MS);
    this.#tell({ kind: "obtained" });
    return { kind: "token", token };
  }

  #tell(event: TokenEvent): void {
    try {
      this.#options.onEvent(event);
    } catch {
      // A listener cannot cost us the token.
    }
  }
}

/** Statuses below 500 that say "not now". */
const NOT_NOW_STATUSES = new Set([408, 425, 429]);

/**
 * What a request ends in that got no token. It was not sent, whatever became of the request for the token. And a refusal
 * of the key must not be taken for one of the request (a 400 would end a result for good): all that is the key's fault is
 * a 401, all that passes a 503.
 */
export function asTokenFailure(
  exchange: Exchange,
  redact: (text: string) => string,
): { readonly exchange: Exchange; readonly message: string } {
  if (exchange.kind !== "answered") {
    // Without its cause: a parser's error carries what came over the wire.
    const message = `no token: POST /token: ${redact(exchange.fault.message)}`;
    return { exchange: notSent(exchange.fault.code, message), message };
  }
  const { status, retryAfterMs } = exchange;
  if (status < 400) {
    const message = `no token: POST /token was answered with HTTP ${status} and no token`;
    return { exchange: notSent("MALFORMED_RESPONSE", message), message };
  }
  const passes = status >= 500 || NOT_NOW_STATUSES.has(status);
  const message = `no token: POST /token was answered with HTTP ${status}${redact(saidIn(exchange.body))}`;
  const shownStatus = passes ? 503 : 401;
  const body = JSON.stringify({ status: shownStatus, message, retryable: passes });
  const answer = { kind: "answered", status: shownStatus, body, contentType: "application/json" } as const;
  return { exchange: retryAfterMs === undefined ? answer : { ...answer, retryAfterMs }, message };
}

/** Takes a secret out of a text, plain, as it stands in JSON and as it stands in a URL. */
export function redactor(secret: string): (text: string) => string {
  const forms = new Set([secret, JSON.stringify(secret).slice(1, -1), inUrl(secret)]);
  forms.delete("");
  return (text) => [...forms].reduce((shown, form) => shown.replaceAll(form, "[secret]"), text);
}

function inUrl(secret: string): string {
  try {
    return encodeURIComponent(secret);
  } catch {
    return ""; // half a surrogate pair
  }
}

/** The server's own words: short, and none of a body that is not Conductor's. */
function saidIn(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    return typeof message === "string" && message !== "" ? `: ${message.slice(0, 500)}` : "";
  } catch {
    return "";
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

/** How long a JWT is good for, in ms; `undefined` when it is none or does not say. */
function lifetimeOf(token: string, nowMs: number): number | undefined {
  try {
    const payload = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<
      string,
      unknown
    >;
    const { exp, iat } = payload;
    if (typeof exp !== "number") return undefined;
    // By the server's clock where it says so: ours may be wrong.
    return typeof iat === "number" ? (exp - iat) * 1000 : exp * 1000 - nowMs;
  } catch {
    return undefined;
  }
}

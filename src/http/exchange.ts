import type { OstinatoErrorCode } from "../base/errors.js";

/**
 * The lane a request travels in, with connections of its own, so that held polls never stand in front of a result:
 * `poll` for polls, `main` for everything else.
 */
export type Lane = "poll" | "main";

/** One request, as the client of an API words it. */
export interface HttpRequest {
  readonly lane: Lane;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Path below the base URL with its query, already encoded: `/tasks/poll/batch/greet?count=1`. */
  readonly path: string;
  /** The path without ids or names, for errors and metrics: `/tasks/poll/batch/{taskType}`. */
  readonly pathTemplate: string;
  /** The body, as text or as its UTF-8 bytes; sent with its content type. */
  readonly body?: string | Buffer;
  /** The token that goes along, as Orkes wants it. */
  readonly token?: string;
  /** Default `application/json`. */
  readonly contentType?: string;
  /**
   * Total time for this request, in ms: waiting for a connection, connecting, headers and body. A finite number above
   * zero; there is no way to switch it off. Where the transport allows it (`maxFlowingMs`), a body that keeps coming
   * gets more.
   */
  readonly deadlineMs: number;
  /**
   * The longest body that is accepted as an answer, in bytes, compressed or not; a longer one is cut off
   * (`maybeApplied`, `RESPONSE_TOO_LARGE`). Default, and at most: what the transport accepts.
   */
  readonly maxBodyBytes?: number;
  /** Done twice it would do harm: it is sent again only where it is sure that nothing was done. */
  readonly isOnce?: boolean;
}

/** A transport fault: why no answer came. */
export interface HttpFault {
  readonly code: OstinatoErrorCode;
  /** What happened, without secrets: `connect ECONNREFUSED 127.0.0.1:8080`. */
  readonly message: string;
  readonly cause?: unknown;
}

/**
 * A request ends in a value, never in a throw:
 * - `notSent`: not one byte reached the server; sending it again is always safe.
 * - `maybeApplied`: it was written, and no whole answer came back; the server may have acted on it.
 * - `answered`: a whole answer, of whatever status and sense.
 */
export type Exchange = (
  | { readonly kind: "notSent"; readonly fault: HttpFault }
  | { readonly kind: "maybeApplied"; readonly fault: HttpFault }
  | {
      readonly kind: "answered";
      readonly status: number;
      readonly body: string;
      /** Lower case, without parameters: `application/json`; `""` when the answer names none. */
      readonly contentType: string;
      /** What `Retry-After` (seconds or date) asks for, in ms from now. */
      readonly retryAfterMs?: number;
      /** Where it redirects to; that is not followed. */
      readonly location?: string;
    }
) & {
  /** It was sent twice. The first time somebody refused it who may have done so after the server had acted on it. */
  readonly isRepeated?: true;
};

/** Sends requests to one server. */
export interface Transport {
  /** Never rejects. */
  request(request: HttpRequest): Promise<Exchange>;
  /** Lets what is under way finish, refuses the rest (`notSent`, `CLOSED`); resolves when no socket is left. */
  close(): Promise<void>;
}

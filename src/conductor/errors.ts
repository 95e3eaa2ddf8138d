import { brandErrorClass, OstinatoError, type OstinatoErrorCode } from "../base/errors.js";
import type { ErrorResponse } from "./types.js";

export interface ConductorErrorDetails {
  readonly code: OstinatoErrorCode;
  readonly message: string;
  readonly method: string;
  readonly pathTemplate: string;
  readonly retryable: boolean;
  readonly status?: number;
  readonly serverMessage?: string;
  readonly validationErrors?: NonNullable<ErrorResponse["validationErrors"]>;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** A request to Conductor that did not succeed. */
export class ConductorError extends OstinatoError {
  static {
    brandErrorClass(this, "ConductorError");
  }

  /** HTTP status; absent when no answer came. */
  readonly status: number | undefined;
  /** What the server said, when it answered as Conductor does. */
  readonly serverMessage: string | undefined;
  readonly validationErrors: ErrorResponse["validationErrors"];
  /** Sending the same request again may help. */
  readonly retryable: boolean;
  readonly method: string;
  /** The path without ids and names: `/tasks/{taskId}`. */
  readonly pathTemplate: string;
  /** What the server asked us to wait, in ms. */
  readonly retryAfterMs: number | undefined;

  constructor(details: ConductorErrorDetails) {
    super(
      details.code,
      `${details.method} ${details.pathTemplate}: ${details.message}`,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.status = details.status;
    this.serverMessage = details.serverMessage;
    this.validationErrors = details.validationErrors;
    this.retryable = details.retryable;
    this.method = details.method;
    this.pathTemplate = details.pathTemplate;
    this.retryAfterMs = details.retryAfterMs;
  }
}

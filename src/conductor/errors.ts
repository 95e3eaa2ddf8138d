import { brandErrorClass, OstinatoError, type OstinatoErrorCode } from "../base/errors.js";
import type { ErrorResponse } from "./types.js";

/** What a {@link ConductorError} is made of; a test that stands in for a server makes one of it. */
export interface ConductorErrorDetails {
  /** What went wrong, for programs. */
  readonly code: OstinatoErrorCode;
  /** What went wrong, for people. The error's message has `method` and `pathTemplate` before it. */
  readonly message: string;
  /** The request's HTTP method. */
  readonly method: string;
  /** The path without ids and names: `/tasks/{taskId}`. */
  readonly pathTemplate: string;
  /** Sending the same request again may help. */
  readonly retryable: boolean;
  /** HTTP status. Default: none, for no answer came. */
  readonly status?: number;
  /** What the server said. Default: none, for it did not answer as Conductor does. */
  readonly serverMessage?: string;
  /** What the server found wrong in a definition. Default: none. */
  readonly validationErrors?: NonNullable<ErrorResponse["validationErrors"]>;
  /** What the server asked us to wait, in ms. Default: nothing. */
  readonly retryAfterMs?: number;
  /** What was caught. Default: nothing was. */
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
  /** What the server found wrong in a definition, when it said so. */
  readonly validationErrors: ErrorResponse["validationErrors"];
  /** Sending the same request again may help. */
  readonly retryable: boolean;
  /** The request's HTTP method. */
  readonly method: string;
  /** The path without ids and names: `/tasks/{taskId}`. */
  readonly pathTemplate: string;
  /** What the server asked us to wait, in ms; undefined: nothing. */
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

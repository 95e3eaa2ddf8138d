import { clip } from "../base/clip.js";
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

/** Of one text of a server's, in characters: it goes into events, log lines and reasons, and may be a whole page. */
const MAX_TEXT_CHARACTERS = 2_000;
const MAX_VALIDATION_ERRORS = 100;

/** A request to Conductor that did not succeed. What the server said is clipped: a text to 2000 characters. */
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
      clip(`${details.method} ${details.pathTemplate}: ${details.message}`, MAX_TEXT_CHARACTERS),
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.status = details.status;
    this.serverMessage =
      details.serverMessage === undefined ? undefined : clip(details.serverMessage, MAX_TEXT_CHARACTERS);
    this.validationErrors = clippedErrors(details.validationErrors);
    this.retryable = details.retryable;
    this.method = details.method;
    this.pathTemplate = details.pathTemplate;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** As many as somebody reads, and of each what is no longer than that. What is no list is left out. */
function clippedErrors(given: unknown): ErrorResponse["validationErrors"] {
  if (!Array.isArray(given)) return undefined;
  const clipped = (given as unknown[]).slice(0, MAX_VALIDATION_ERRORS).map(clippedError);
  return clipped as ErrorResponse["validationErrors"];
}

function clippedError(given: unknown): unknown {
  if (typeof given !== "object" || given === null) return short(given);
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [key, short(value)]));
}

/** A value of a long text, or with long texts in it, becomes the beginning of its JSON. */
function short(value: unknown): unknown {
  if (typeof value === "string") return clip(value, MAX_TEXT_CHARACTERS);
  if (typeof value !== "object" || value === null) return value;
  const json = JSON.stringify(value);
  return json.length <= MAX_TEXT_CHARACTERS ? value : clip(json, MAX_TEXT_CHARACTERS);
}

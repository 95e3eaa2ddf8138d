/** One violated constraint of a request, as the server lists it. */
export interface ValidationError {
  path: string;
  message: string;
  invalidValue?: unknown;
}

/** The server's "no": becomes an error answer. */
export class Refusal extends Error {
  readonly status: number;
  readonly validationErrors: readonly ValidationError[] | undefined;

  constructor(status: number, message: string, validationErrors?: readonly ValidationError[]) {
    super(message);
    this.status = status;
    this.validationErrors = validationErrors;
  }
}

export const notFound = (message: string): Refusal => new Refusal(404, message);
export const conflict = (message: string): Refusal => new Refusal(409, message);
export const badRequest = (message: string): Refusal => new Refusal(400, message);
/** What the server does not map to a status of its own. */
export const fault = (message: string): Refusal => new Refusal(500, message);
export const invalid = (errors: readonly ValidationError[]): Refusal =>
  new Refusal(400, "Validation failed, check below errors for detail.", errors);

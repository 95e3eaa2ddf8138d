/**
 * What Ostinato needs of a logger: pino's shape. Fields first, then the message. A logger that throws harms nobody; see
 * `safeLogger`.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds `bindings` to each line. */
  child?(bindings: object): Logger;
}

import type { Logger } from "../../../src/log/logger.js";

/** Says nothing. */
export const silentLogger: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A logger that remembers its lines, as `level message`. */
export function memoryLogger(): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const write = (level: string) => (_fields: object, message: string) => {
    lines.push(`${level} ${message}`);
  };
  return { log: { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") }, lines };
}

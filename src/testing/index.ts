/**
 * A Conductor for tests: in memory, over real HTTP, with a clock that tests can turn.
 *
 * @module ostinato/testing
 */

export { startEmbeddedConductor } from "./embedded-conductor.js";
export type { EmbeddedConductor, EmbeddedConductorOptions } from "./types.js";
export type { Clock, Timer } from "../base/clock.js";
export type { QueueKind } from "./engine/held-polls.js";
export type { Audit, AuditedTask } from "./audit.js";
export type { HandOut, LedgerEntry, Requeued, UpdateIgnoredReason, UpdateReceived } from "./ledger.js";

export { startEmbeddedConductor } from "./embedded-conductor.js";
export type { EmbeddedConductor, EmbeddedConductorOptions } from "./types.js";
export type { QueueKind } from "./engine/held-polls.js";
export type { Audit, AuditedTask } from "./audit.js";
export type { HandOut, LedgerEntry, Requeued, UpdateIgnoredReason, UpdateReceived } from "./ledger.js";

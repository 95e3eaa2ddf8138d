import type { Linked } from "../../base/linked-list.js";
import type { ConductorError } from "../../conductor/errors.js";
import { NO_EVIDENCE, type Evidence } from "../answers/result-fate.js";
import type { InFlightTask } from "../in-flight.js";
import type { KeptResult } from "../journal/keeper.js";
import type { Parcel } from "../parcel.js";

/** One result, until the server has it. */
export interface Shipment extends Linked<Shipment> {
  readonly entry: InFlightTask;
  parcel: Parcel;
  attempts: number;
  readonly startedAt: number;
  /** When the last attempt began. */
  attemptedAt: number;
  /** Not before, by the clock. */
  notBefore: number;
  /** What an attempt may take, where that is more than a request usually gets, in ms. */
  deadlineMs: number | undefined;
  failures: number;
  /** Refusals in a row that count against the result: see {@link ResultFault}. */
  refusals: number;
  firstRefusalAt: number;
  /** What was seen beside those refusals. */
  evidence: Evidence;
  /** It is said that this one is refused alone. */
  isSaid: boolean;
  /** What `update-v2` made of it, if it did not take it. `isSure`: that was about the endpoint, or these bytes there. */
  refusedByV2: { readonly isSure: boolean; readonly error: ConductorError } | undefined;
  /** Looks at its task in a row that somebody on the way refused. */
  looksRefused: number;
  /** The result was refused for good, and this is the failure that says so. */
  isVerdict: boolean;
  lastError: ConductorError | undefined;
  /** The server has it; only a late lease extension might undo that. */
  isAcknowledged: boolean;
  /** Nothing is to be done for it any more. */
  isClosed: boolean;
  /** Its place in the journal, if there is one. */
  kept: KeptResult | undefined;
  /** A dead process left it, so the task may have gone on without us: it is checked before each attempt. */
  readonly isInherited: boolean;
}

export function createShipment(entry: InFlightTask, parcel: Parcel, now: number, isInherited: boolean): Shipment {
  return {
    entry,
    parcel,
    attempts: 0,
    startedAt: now,
    attemptedAt: now,
    notBefore: now,
    deadlineMs: undefined,
    failures: 0,
    refusals: 0,
    firstRefusalAt: 0,
    evidence: NO_EVIDENCE,
    isSaid: false,
    refusedByV2: undefined,
    looksRefused: 0,
    isVerdict: false,
    lastError: undefined,
    isAcknowledged: false,
    isClosed: false,
    kept: undefined,
    isInherited,
    previous: undefined,
    next: undefined,
  };
}

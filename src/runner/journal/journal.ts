import { statSync } from "node:fs";
import path from "node:path";
import { sleep, type Clock, type Timer } from "../../base/clock.js";
import { ConfigurationError } from "../../base/errors.js";
import { packageVersion } from "../../base/package-version.js";
import type { Logger } from "../../log/logger.js";
import { createRepeatLog, type RepeatLog } from "../../log/repeat-log.js";
import type { InFlightTask } from "../in-flight.js";
import type { Parcel } from "../parcel.js";
import type { PollerIdentity } from "../poller-identity.js";
import { Folder } from "./folder.js";
import { FORMAT } from "./format.js";
import { InheritedJournal } from "./inherited.js";
import type { DeadOwner, KeptResult, InheritedSink, ResultKeeper } from "./keeper.js";
import { DEFAULT_COMPACTION, OwnFile, type CompactionLimits } from "./own-file.js";
import { factsOfThisProcess, findProcess, type OwnerFacts } from "./owner.js";

export interface JournalParts {
  /** Created if it is not there. */
  readonly dir: string;
  /** Whether a result is on the disk, and not only with the operating system, before it is delivered. */
  readonly fsync: boolean;
  readonly workerIds: readonly string[];
  /** The address of the server that the results are for. */
  readonly server?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * The journal of a dead process was taken over; called before its results are delivered. Resolves when what else that
   * process had is dealt with, or not to the end (false); undefined: nobody searches for it. Must not throw or reject.
   */
  readonly onAdopted?: (owner: DeadOwner) => Promise<boolean> | undefined;
  readonly compaction?: CompactionLimits;
  /** For tests: who this process says it is. */
  readonly self?: OwnerFacts;
}

/** How often the file is touched, in ms. Well below what makes others think that we are dead. */
const TEND_MS = 5_000;
/** How many tendings there are to a search for files of the dead. */
const TENDINGS_PER_SEARCH = 2;
/** Dead processes whose results are delivered at the same time. */
const MAX_INHERITED = 16;

/** Errors that waiting does not mend. */
const CONFIGURATION_ERRORS = new Set([
  "EACCES",
  "EPERM",
  "EROFS",
  "ENOTDIR",
  "EEXIST",
  "ENOENT",
  "ELOOP",
  "ENAMETOOLONG",
]);

/**
 * Keeps terminal results in a file of this process until they have left, and delivers what dead processes left in
 * theirs. See `format.ts` for the file and `folder.ts` for who may take over whose.
 */
export class Journal implements ResultKeeper {
  readonly #options: JournalParts;
  /** Claimed, and not opened yet: no descriptor was left, or the disk did not answer. Whether each owner is certainly dead. */
  readonly #unread = new Map<string, boolean>();
  readonly #repeatLog: RepeatLog;
  readonly #own: OwnFile;
  readonly #folder: Folder;
  readonly #inherited = new Set<InheritedJournal>();
  #sink: InheritedSink | undefined;
  #timer: Timer;
  #tendings = 0;
  #isClosed = false;

  /**
   * Creates folder and file. Throws `ConfigurationError` where that is not possible. A full disk is no error: results are
   * then in memory only until there is room.
   */
  constructor(options: JournalParts) {
    const dir = path.resolve(options.dir);
    this.#options = { ...options, dir };
    const { clock, log, fsync, server, compaction = DEFAULT_COMPACTION, self = factsOfThisProcess() } = options;
    this.#repeatLog = createRepeatLog({ clock, logger: log });
    const workerIds = [...new Set(options.workerIds)];
    const header = { format: FORMAT, version: packageVersion(), workerIds, server, ...self };
    this.#own = new OwnFile({ dir, header, fsync, repeatLog: this.#repeatLog, compaction });
    this.#folder = new Folder({
      dir,
      self,
      findProcess,
      now: () => clock.now(),
      onLeftAlone: (file, why, error) => {
        log.warn({ dir, file, ...(error === undefined ? {} : { err: error }) }, `a journal is left alone: ${why}`);
      },
    });
    this.#open(dir);
    log.info({ dir, fsync }, "finished results are also kept in a journal until they are delivered");
    this.#setTimer();
  }

  #open(dir: string): void {
    try {
      this.#own.open();
      this.#warnOfOpenFolder(dir);
    } catch (error) {
      const { code = "", message } = error as NodeJS.ErrnoException;
      if (CONFIGURATION_ERRORS.has(code)) {
        const hint = "journal.dir must be a folder that this process may create files in";
        throw new ConfigurationError([`the journal cannot be kept in ${dir}: ${message}; ${hint}`]);
      }
      const fields = { dir, err: error };
      this.#repeatLog.failed(
        "writing the journal",
        fields,
        "creating the journal failed; until that works results are only in memory",
      );
    }
  }

  #warnOfOpenFolder(dir: string): void {
    if (process.platform === "win32") return;
    const mode = statSync(dir).mode & 0o777;
    if ((mode & 0o022) !== 0)
      this.#options.log.warn({ dir, mode: mode.toString(8) }, "others may write to the journal's folder; make it 0700");
  }

  keep(entry: InFlightTask, parcel: Parcel): KeptResult {
    return this.#own.keep(entry, parcel);
  }

  /**
   * From now on results of dead processes go to `sink`. What is there now is looked at before this returns, but for what
   * is large: that is read on in slices.
   */
  adoptInto(sink: InheritedSink): void {
    this.#sink = sink;
    this.#adopt();
  }

  /**
   * The hand-outs (see `handOutKey`) whose finished result another process has left in the folder: it is delivered, by
   * us or by a neighbour, and nobody is to end such a task otherwise. Never rejects.
   */
  async finishedElsewhere(): Promise<ReadonlySet<string>> {
    try {
      return await this.#folder.finishedHandOuts(this.#own.id, () => sleep(this.#options.clock, 0));
    } catch (error) {
      const key = "looking for journals of dead processes";
      this.#repeatLog.failed(key, { dir: this.#options.dir, err: error }, `${key} failed`);
      return new Set();
    }
  }

  /**
   * Removes the file, unless results are left in it, or this process still owes a search: those are for a successor.
   * `owed`: the names under which there may be tasks that nobody has found.
   */
  close(owed: readonly PollerIdentity[] = []): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.clock.clearTimer(this.#timer);
    for (const inherited of this.#inherited) inherited.close();
    this.#inherited.clear();
    this.#own.close(owed);
  }

  #setTimer(): void {
    const { clock } = this.#options;
    this.#timer = clock.setTimer(() => {
      this.#setTimer();
      this.#tend();
    }, TEND_MS);
  }

  #tend(): void {
    try {
      this.#own.tend();
      for (const inherited of this.#inherited) inherited.feed();
      this.#tendings += 1;
      if (this.#tendings % TENDINGS_PER_SEARCH === 0) this.#adopt();
    } catch (error) {
      this.#options.log.error({ err: error }, "looking after the journal failed unexpectedly");
    }
  }

  #adopt(): void {
    const sink = this.#sink;
    if (sink === undefined || this.#isClosed) return;
    const { dir } = this.#options;
    const { id } = this.#own;
    const key = "looking for journals of dead processes";
    try {
      for (const [name, isCertain] of this.#unread) this.#takeOver(name, isCertain, sink);
      for (const left of this.#folder.findLeft(id)) {
        if (this.#inherited.size >= MAX_INHERITED) break;
        const name = this.#folder.claim(left, id);
        if (name === undefined) continue;
        // Ours from now on: nobody else looks at it while we live.
        this.#unread.set(name, left.isCertain);
        this.#takeOver(name, left.isCertain, sink);
      }
      this.#repeatLog.succeeded(key);
    } catch (error) {
      // Without the folder there is nothing to find, and the file of our own says so.
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      this.#repeatLog.failed(key, { dir, err: error }, "looking for journals of dead processes failed");
    }
  }

  #takeOver(name: string, isCertain: boolean, sink: InheritedSink): void {
    const { log, clock, server, onAdopted } = this.#options;
    const onDone = () => {
      this.#inherited.delete(inherited);
    };
    const inherited = new InheritedJournal({
      name,
      folder: this.#folder,
      server,
      sink,
      log,
      clock,
      onDone,
    });
    this.#unread.delete(name);
    this.#inherited.add(inherited);
    const search = inherited.owner && onAdopted?.({ ...inherited.owner, isCertain });
    if (search !== undefined) inherited.holdUntil(search);
    inherited.feed();
  }
}

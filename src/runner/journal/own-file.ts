import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  fstatSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { LinkedList, type Linked } from "../../base/linked-list.js";
import type { RepeatLog } from "../../log/repeat-log.js";
import type { InFlightTask } from "../in-flight.js";
import type { Parcel } from "../parcel.js";
import type { PollerIdentity } from "../poller-identity.js";
import { encodeHeader, encodeResult, encodeSettled, END_LINE, type JournalHeader, type ResultMeta } from "./format.js";
import { GroupSync } from "./group-sync.js";
import type { KeptResult } from "./keeper.js";
import { makeFolder } from "./make-folder.js";

/** When a file is written anew with what is live in it. */
export interface CompactionLimits {
  /** A file of this size, */
  readonly minBytes: number;
  /** of which so much is settled. */
  readonly deadShare: number;
}

export const DEFAULT_COMPACTION: CompactionLimits = { minBytes: 8 * 1024 * 1024, deadShare: 0.5 };

/** An empty file is cut back when it is larger than this, in bytes. */
const CUT_BACK_BYTES = 256 * 1024;
const CREATE = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL;
const TROUBLE = "writing the journal";
const NEWLINE = Buffer.from("\n");

export interface OwnFileOptions {
  readonly dir: string;
  readonly header: JournalHeader;
  readonly fsync: boolean;
  readonly repeatLog: RepeatLog;
  readonly compaction: CompactionLimits;
}

/** An open file and what is known of it. */
interface OpenFile {
  readonly fd: number;
  readonly inode: number;
  readonly sync: GroupSync | undefined;
  /** Of the header. */
  readonly headBytes: number;
  size: number;
  /** Something half-written could not be cut off: the next line begins on a new one. */
  isTorn: boolean;
}

/**
 * The journal file of this process: results are appended before their first delivery, and marked as settled when they
 * have left. What cannot be written is kept in memory and tried again; nothing here throws but `open`.
 *
 * A result is unwritten (in memory only), live (on disk, to be delivered by a successor if we die) or settled. The file
 * is open, missing (not created yet, removed, or taken over by somebody who took us for dead: a new one is made), torn
 * (half a line could not be cut off) or closed. The journal calls {@link open} once, {@link keep} for each result,
 * {@link tend} every few seconds and {@link close} at the end.
 */
export class OwnFile {
  readonly #options: OwnFileOptions;
  #id = newId();
  #file: OpenFile | undefined;
  readonly #live = new LinkedList<Kept>();
  #liveBytes = 0;
  /** Not on disk. */
  readonly #unwritten = new Set<Kept>();
  /** Settled, and the disk does not know. */
  readonly #unmarked = new Set<number>();
  #lastNumber = 0;
  #nextCompactionBytes: number;
  #isClosed = false;

  constructor(options: OwnFileOptions) {
    this.#options = options;
    this.#nextCompactionBytes = options.compaction.minBytes;
  }

  /** Made of the process's number and chance, so that it never comes again. */
  get id(): string {
    return this.#id;
  }

  get isOpen(): boolean {
    return this.#file !== undefined;
  }

  /** Creates the file. Throws what the file system says. */
  open(): void {
    this.#rewrite(this.#id);
  }

  keep(entry: InFlightTask, parcel: Parcel): KeptResult {
    const { task, worker } = entry;
    this.#lastNumber += 1;
    const meta: ResultMeta = {
      n: this.#lastNumber,
      taskType: worker.taskDefName,
      taskId: task.taskId,
      workflowInstanceId: task.workflowInstanceId,
      workerId: entry.ownerId,
      pollCount: task.pollCount,
      retryCount: task.retryCount,
    };
    const kept = new Kept(meta, parcel.body, () => {
      this.#settle(kept);
    });
    this.#live.append(kept);
    this.#unwritten.add(kept);
    if (this.#write(kept) && this.#options.fsync) kept.synced = this.#file?.sync?.sync();
    return kept;
  }

  /** Tells others that we live, sees to it that the file is still ours, and tries again what could not be written. */
  tend(): void {
    if (this.#isClosed) return;
    const file = this.#file;
    if (file === undefined || !this.#isOurs(file)) {
      this.#recreate();
    } else {
      try {
        const now = new Date();
        futimesSync(file.fd, now, now);
      } catch (error) {
        this.#failed(error, "touching the journal failed");
      }
    }
    this.#catchUp();
    if (this.#file !== undefined && this.#unwritten.size === 0) this.#options.repeatLog.succeeded(TROUBLE);
  }

  /** Leaves nothing behind, unless results or searches are left: then a file that anybody may take over at once. */
  close(owed: readonly PollerIdentity[]): void {
    this.#isClosed = true;
    if (this.#file === undefined) return;
    try {
      if (!this.#isOurs(this.#file)) return;
      if (owed.length > 0) this.#rewrite(this.#id, { ...this.#options.header, owed });
      if (owed.length === 0 && this.#live.first === undefined) rmSync(this.#path, { force: true });
      else writeSync(this.#file.fd, END_LINE);
    } catch (error) {
      this.#failed(error, "closing the journal failed");
    } finally {
      this.#discard(this.#file);
      this.#file = undefined;
    }
  }

  get #path(): string {
    return path.join(this.#options.dir, `${this.#id}.journal`);
  }

  #settle(kept: Kept): void {
    if (!this.#live.remove(kept)) return;
    this.#unwritten.delete(kept);
    if (!kept.isOnDisk) return;
    kept.isOnDisk = false;
    this.#liveBytes -= kept.bytes;
    if (this.#isClosed) return;
    const file = this.#file;
    if (file === undefined) return;
    if (this.#liveBytes === 0 && file.size > CUT_BACK_BYTES && this.#cutBack(file)) return;
    if (!this.#append(encodeSettled(kept.meta.n))) this.#unmarked.add(kept.meta.n);
    this.#compactIfWorthIt();
  }

  #write(kept: Kept): boolean {
    const line = encodeResult(kept.meta, kept.body);
    if (!this.#append(line)) return false;
    this.#unwritten.delete(kept);
    kept.isOnDisk = true;
    kept.bytes = line.length;
    this.#liveBytes += line.length;
    return true;
  }

  #append(line: Buffer): boolean {
    const file = this.#file;
    if (file === undefined || this.#isClosed) return false;
    try {
      const bytes = file.isTorn ? Buffer.concat([NEWLINE, line]) : line;
      const written = writeSync(file.fd, bytes);
      if (written < bytes.length) throw shortWrite();
      file.isTorn = false;
      file.size += bytes.length;
      return true;
    } catch (error) {
      this.#cutOff(file, file.size);
      this.#failed(error, "writing a result to the journal failed; until that works it is only in memory");
      return false;
    }
  }

  /** Once a write has failed there may be room where everything in the file is settled. */
  #catchUp(): void {
    const file = this.#file;
    if (file === undefined || (this.#unwritten.size === 0 && this.#unmarked.size === 0)) return;
    if (this.#liveBytes === 0) this.#cutBack(file);
    for (const n of this.#unmarked) {
      if (!this.#append(encodeSettled(n))) return;
      this.#unmarked.delete(n);
    }
    for (const kept of this.#unwritten) if (!this.#write(kept)) return;
  }

  /** Nothing in it is live: back to the header. */
  #cutBack(file: OpenFile): boolean {
    if (!this.#cutOff(file, file.headBytes)) return false;
    file.size = file.headBytes;
    this.#nextCompactionBytes = this.#options.compaction.minBytes;
    this.#unmarked.clear();
    return true;
  }

  #cutOff(file: OpenFile, size: number): boolean {
    try {
      ftruncateSync(file.fd, size);
      file.isTorn = false;
      return true;
    } catch {
      file.isTorn = true;
      return false;
    }
  }

  #compactIfWorthIt(): void {
    const { compaction, repeatLog } = this.#options;
    const { minBytes, deadShare } = compaction;
    const size = this.#file?.size ?? 0;
    if (size < this.#nextCompactionBytes || size - this.#liveBytes < size * deadShare) return;
    try {
      this.#rewrite(this.#id);
      this.#nextCompactionBytes = minBytes;
      repeatLog.succeeded("compacting the journal");
    } catch (error) {
      this.#nextCompactionBytes = size + minBytes;
      const fields = { dir: this.#options.dir, bytes: size, err: error };
      repeatLog.failed("compacting the journal", fields, "compacting the journal failed; it grows for now");
    }
  }

  /** The file was removed, or somebody took us for dead and it is theirs now. */
  #recreate(): void {
    if (this.#file !== undefined) {
      const fields = { dir: this.#options.dir };
      this.#options.repeatLog.failed(TROUBLE, fields, "the journal was removed or taken over; writing a new one");
      this.#discard(this.#file);
      this.#file = undefined;
      for (const kept of this.#live.toArray()) {
        kept.isOnDisk = false;
        this.#unwritten.add(kept);
      }
      this.#liveBytes = 0;
      this.#unmarked.clear();
      this.#id = newId();
    }
    try {
      this.#rewrite(this.#id);
    } catch (error) {
      this.#failed(error, "creating the journal failed; until that works results are only in memory");
    }
  }

  /** A new file with all that is live takes the old one's place, or there is only the old one. */
  #rewrite(id: string, header = this.#options.header): void {
    const { dir, fsync } = this.#options;
    makeFolder(dir);
    const temporary = path.join(dir, `${id}.new`);
    const fd = openSync(temporary, CREATE, 0o600);
    let size = 0;
    const write = (line: Buffer) => {
      if (writeSync(fd, line) < line.length) throw shortWrite();
      size += line.length;
      return line.length;
    };
    const lengths = new Map<Kept, number>();
    let headBytes: number;
    try {
      headBytes = write(encodeHeader(header));
      for (const kept of this.#live.toArray()) lengths.set(kept, write(encodeResult(kept.meta, kept.body)));
      if (fsync) fsyncSync(fd);
      renameSync(temporary, path.join(dir, `${id}.journal`));
      if (fsync) syncFolder(dir);
    } catch (error) {
      closeSync(fd);
      rmSync(temporary, { force: true });
      throw error;
    }
    if (this.#file !== undefined) this.#discard(this.#file);
    const sync = fsync ? new GroupSync(fd, this.#onSynced) : undefined;
    this.#id = id;
    this.#file = { fd, inode: fstatSync(fd).ino, sync, headBytes, size, isTorn: false };
    this.#liveBytes = size - headBytes;
    for (const [kept, bytes] of lengths) {
      kept.bytes = bytes;
      kept.isOnDisk = true;
    }
    this.#unwritten.clear();
    this.#unmarked.clear();
  }

  #isOurs(file: OpenFile): boolean {
    try {
      const { ino, size } = statSync(this.#path);
      // Somebody may have cut it as well, and what was live in it is gone.
      return ino === file.inode && size >= file.size;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== "ENOENT";
    }
  }

  #discard({ fd, sync }: OpenFile): void {
    const close = () => {
      try {
        closeSync(fd);
      } catch {
        // Nothing more can be done with it.
      }
    };
    if (sync === undefined) close();
    else sync.whenIdle(close);
  }

  readonly #onSynced = (error: Error | undefined): void => {
    const key = "syncing the journal";
    const { repeatLog, dir } = this.#options;
    if (error === undefined) repeatLog.succeeded(key);
    else repeatLog.failed(key, { dir, err: error }, "syncing the journal failed; a power cut could lose results");
  };

  #failed(error: unknown, message: string): void {
    const fields = { dir: this.#options.dir, onlyInMemory: this.#unwritten.size, err: error };
    this.#options.repeatLog.failed(TROUBLE, fields, message);
  }
}

class Kept implements KeptResult, Linked<Kept> {
  readonly meta: ResultMeta;
  readonly body: Buffer;
  readonly settle: () => void;
  synced: Promise<void> | undefined = undefined;
  isOnDisk = false;
  /** On disk. */
  bytes = 0;
  previous: Kept | undefined = undefined;
  next: Kept | undefined = undefined;

  constructor(meta: ResultMeta, body: Buffer, settle: () => void) {
    this.meta = meta;
    this.body = body;
    this.settle = settle;
  }
}

function newId(): string {
  return `${process.pid}-${randomBytes(6).toString("hex")}`;
}

function shortWrite(): Error {
  return Object.assign(new Error("ENOSPC: only a part was written"), { code: "ENOSPC" });
}

/** So that the name survives a power cut as well. Not everywhere possible, and then not needed. */
function syncFolder(dir: string): void {
  try {
    const fd = openSync(dir, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Windows does not open folders.
  }
}

import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import path from "node:path";
import { FORMAT } from "./format.js";
import { handOutKey } from "./keeper.js";
import { judgeOwner, type FoundProcess, type OwnerState, type OwnerFacts } from "./owner.js";
import { hasEnd, JournalScan, readAtOf, readHeader, SLICE_BYTES } from "./scan.js";

/**
 * Names say what a file is and who has it:
 * - `<owner>.journal`: of a process, living or dead.
 * - `<owner>~<claimer>.claimed`: of a dead process; the process whose own journal is `<claimer>.journal` delivers it. Is
 *   that one dead, or its journal gone, anybody may have it.
 * - `<owner>.new`: being written, and not in use yet.
 */
const JOURNAL = /^(\d+-[0-9a-f]{12})\.journal$/;
const CLAIMED = /^(\d+-[0-9a-f]{12})~(\d+-[0-9a-f]{12})\.claimed$/;
const UNFINISHED = /^\d+-[0-9a-f]{12}\.new$/;

/** An owner that cannot be looked up, and does not touch its file for this long, is dead, in ms. */
export const UNTOUCHED_MS = 30_000;
/** Nobody takes that long to write a new file, in ms. */
const UNFINISHED_MS = 3_600_000;

/** A file that somebody has left. */
export interface LeftFile {
  readonly name: string;
  readonly owner: string;
  /** Its owner was looked up and is dead; otherwise it has only been silent for {@link UNTOUCHED_MS}. */
  readonly isCertain: boolean;
}

export interface FolderOptions {
  readonly dir: string;
  readonly self: OwnerFacts;
  readonly findProcess: (pid: number) => FoundProcess;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Told of a file that is left alone, and why; each once. */
  readonly onLeftAlone: (file: string, why: string, error?: unknown) => void;
}

interface Sight {
  readonly mtimeMs: number;
  readonly size: number;
  readonly since: number;
}

/** The journals in a folder: whose they are, and which of them may be taken over. */
export class Folder {
  readonly #options: FolderOptions;
  /** Files whose owner cannot be looked up, as they were last seen. */
  readonly #sights = new Map<string, Sight>();
  readonly #leftAlone = new Set<string>();
  /** Taken over once, and given up for somebody else. */
  readonly #released = new Set<string>();

  constructor(options: FolderOptions) {
    this.#options = options;
  }

  /** Files of the dead, beside those that `ownId` has. Throws when the folder cannot be read. */
  findLeft(ownId: string): LeftFile[] {
    const names = readdirSync(this.#options.dir);
    const left: LeftFile[] = [];
    for (const name of names) {
      const [, owner] = JOURNAL.exec(name) ?? [];
      const [, claimedOwner, claimer] = CLAIMED.exec(name) ?? [];
      if (owner !== undefined && owner !== ownId) {
        if (this.#released.has(name)) continue;
        const seen = this.#inspect(name);
        if (seen !== undefined && this.#isDead(name, seen))
          left.push({ name, owner, isCertain: seen.state === "dead" });
      } else if (claimedOwner !== undefined && claimer !== undefined && claimer !== ownId) {
        // Looked up and not taken from the list, which may have missed it: the claimer made it before it claimed.
        const journal = `${claimer}.journal`;
        const isClaimerDead = !existsSync(path.join(this.#options.dir, journal)) || this.#isDead(journal);
        const seen = isClaimerDead ? this.#inspect(name) : undefined;
        if (seen !== undefined) left.push({ name, owner: claimedOwner, isCertain: seen.state === "dead" });
      } else if (UNFINISHED.test(name)) {
        this.#removeIfOld(name);
      }
    }
    for (const name of this.#sights.keys()) if (!names.includes(name)) this.#sights.delete(name);
    return left;
  }

  /** Takes a file, as one of any number of processes that try. The new name; undefined when another was quicker. */
  claim({ name, owner }: Pick<LeftFile, "name" | "owner">, ownId: string): string | undefined {
    const claimed = `${owner}~${ownId}.claimed`;
    const { dir } = this.#options;
    try {
      renameSync(path.join(dir, name), path.join(dir, claimed));
      return claimed;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") this.#leaveAlone(name, "it cannot be claimed", error);
      return undefined;
    }
  }

  /** Gives back what was claimed, for others: this process does not take it again. Throws. */
  release(claimed: string): void {
    const name = `${CLAIMED.exec(claimed)?.[1] ?? ""}.journal`;
    this.#released.add(name);
    renameSync(path.join(this.#options.dir, claimed), path.join(this.#options.dir, name));
  }

  /**
   * The hand-outs (see `handOutKey`) whose finished result waits in some file other than `ownId`'s own, whoever delivers
   * it. Large files are read in slices, with a `turn` of the event loop after each. Rejects when the folder cannot be
   * read; a file that cannot is left out.
   */
  async finishedHandOuts(ownId: string, turn: () => Promise<void>): Promise<Set<string>> {
    const keys = new Set<string>();
    for (const name of readdirSync(this.#options.dir)) {
      const owner = JOURNAL.exec(name)?.[1];
      if ((owner === undefined && !CLAIMED.test(name)) || owner === ownId) continue;
      let fd: number | undefined;
      try {
        fd = this.open(name);
        const reading = new JournalScan(readAtOf(fd));
        const keepKeys = () => {
          for (const { meta } of reading.live.values()) keys.add(handOutKey(meta.taskId, meta.pollCount));
        };
        for (let state = reading.readOn(SLICE_BYTES); state !== "end"; state = reading.readOn(SLICE_BYTES)) {
          if (state === "full") {
            keepKeys();
            reading.live.clear();
          }
          await turn();
        }
        keepKeys();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") this.#leaveAlone(name, "it cannot be read", error);
      } finally {
        if (fd !== undefined) closeSync(fd);
      }
    }
    return keys;
  }

  /** Opens for reading and for striking out. Throws. */
  open(name: string): number {
    // Somebody else's link must not lead us astray. (The flag is 0 where there is none.)
    const flags = constants.O_RDWR | constants.O_APPEND | ((constants.O_NOFOLLOW as number | undefined) ?? 0);
    return openSync(path.join(this.#options.dir, name), flags);
  }

  remove(name: string): void {
    rmSync(path.join(this.#options.dir, name), { force: true });
  }

  #isDead(name: string, seen = this.#inspect(name)): boolean {
    if (seen === undefined) return false;
    if (seen.state !== "unknown") this.#sights.delete(name);
    return seen.state === "dead" || (seen.state === "unknown" && this.#isUntouched(name, seen));
  }

  #isUntouched(name: string, { mtimeMs, size }: { mtimeMs: number; size: number }): boolean {
    const now = this.#options.now();
    const sight = this.#sights.get(name);
    // Clocks of two machines need not agree, so only a change counts.
    if (sight?.mtimeMs === mtimeMs && sight.size === size) return now - sight.since >= UNTOUCHED_MS;
    this.#sights.set(name, { mtimeMs, size, since: now });
    return false;
  }

  /** Undefined: it is gone, or none that we can take. */
  #inspect(name: string): { state: OwnerState; mtimeMs: number; size: number } | undefined {
    let fd: number;
    try {
      fd = this.open(name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") this.#leaveAlone(name, "it cannot be opened", error);
      return undefined;
    }
    try {
      const { mtimeMs, size, uid } = fstatSync(fd);
      const ourUid = process.geteuid?.();
      if (ourUid !== undefined && uid !== ourUid) {
        this.#leaveAlone(name, "it belongs to another user");
        return undefined;
      }
      const header = readHeader(fd);
      if (header !== undefined && !("workerIds" in header)) {
        this.#leaveAlone(name, `its format is ${String(header.format)} and not ${FORMAT}; its own version reads it`);
        return undefined;
      }
      const { self, findProcess } = this.#options;
      let state = header === undefined ? "unknown" : judgeOwner(header, self, findProcess);
      if (state !== "dead" && hasEnd(fd)) state = "dead";
      return { state, mtimeMs, size };
    } catch (error) {
      this.#leaveAlone(name, "it cannot be read", error);
      return undefined;
    } finally {
      closeSync(fd);
    }
  }

  #leaveAlone(name: string, why: string, error?: unknown): void {
    if (this.#leftAlone.has(name)) return;
    this.#leftAlone.add(name);
    this.#options.onLeftAlone(name, why, error);
  }

  #removeIfOld(name: string): void {
    const file = path.join(this.#options.dir, name);
    try {
      if (Date.now() - statSync(file).mtimeMs > UNFINISHED_MS) rmSync(file, { force: true });
    } catch {
      // Another process has.
    }
  }
}

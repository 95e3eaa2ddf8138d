import { mkdirSync } from "node:fs";
import path from "node:path";
import { isFolder } from "../../base/is-folder.js";

/**
 * Makes a folder and those above it, readable by its owner only. Not by `mkdirSync(…, { recursive: true })`: where the
 * parent is there and refuses with ENOENT (a volume whose folder was removed under the mount, `/proc`), Node tries for
 * ever, in a call that nothing interrupts (seen on 20 to 26).
 */
export function makeFolder(dir: string): void {
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    if (isFolder(dir)) return;
    const parent = path.dirname(dir);
    const isParentMissing = (error as NodeJS.ErrnoException).code === "ENOENT" && parent !== dir && !isFolder(parent);
    if (!isParentMissing) throw error;
    makeFolder(parent);
    // Once: whoever makes it at the same time makes a folder, too.
    try {
      mkdirSync(dir, { mode: 0o700 });
    } catch (again) {
      if (!isFolder(dir)) throw again;
    }
  }
}

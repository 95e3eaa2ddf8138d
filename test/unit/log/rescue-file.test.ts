import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { RescueFile } from "../../../src/log/rescue-file.js";

function folder(): string {
  const dir = mkdtempSync(path.join(tmpdir(), "ostinato-rescue-"));
  onTestFinished(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

const line = (text: string) => Buffer.from(`${text}\n`);

describe("the file for lines that must not be lost", () => {
  test("is not there before the first one", () => {
    const dir = folder();
    const rescue = new RescueFile([dir]);
    expect(rescue.file).toBeUndefined();
    expect(readdirSync(dir)).toEqual([]);
  });

  test("takes all of them in order, and is for its owner only", () => {
    const rescue = new RescueFile([folder()]);
    rescue.append([line("a"), line("b")]);
    rescue.append([line("c")]);
    expect(path.basename(rescue.file!)).toMatch(/^ostinato-undelivered-\d+-[0-9a-f]{12}\.jsonl$/);
    expect(readFileSync(rescue.file!, "utf8")).toBe("a\nb\nc\n");
    if (process.platform !== "win32") expect(statSync(rescue.file!).mode & 0o777).toBe(0o600);
  });

  test("is in the next folder where the first one does not take it", () => {
    const [dir, other] = [path.join(folder(), "gone"), folder()];
    const rescue = new RescueFile([dir, other]);
    rescue.append([line("a")]);
    expect(path.dirname(rescue.file!)).toBe(other);
  });

  test("names the first folder's trouble where none takes it, and is made once one does", () => {
    const dir = path.join(folder(), "later");
    const rescue = new RescueFile([dir]);
    expect(() => {
      rescue.append([line("a")]);
    }).toThrow(/ENOENT.*later/);
    mkdirSync(dir);
    chmodSync(dir, 0o700);
    rescue.append([line("b")]);
    expect(readFileSync(rescue.file!, "utf8")).toBe("b\n");
  });

  test("does not grow beyond its bound: what would not fit leaves what is there whole", () => {
    const rescue = new RescueFile([folder()]);
    rescue.append([line("a")]);
    const large = Buffer.alloc(128 * 1024 * 1024);
    expect(() => {
      rescue.append([large, large]);
    }).toThrow(/would have over \d+ bytes/);
    rescue.append([line("b")]);
    expect(readFileSync(rescue.file!, "utf8")).toBe("a\nb\n");
  });
});

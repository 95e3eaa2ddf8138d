/**
 * What `npm version` does to CHANGELOG.md: it looks whether something is there to be released before anything is changed
 * (`--check`, by `preversion`), and gives the unreleased entries their version (by `version`).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { ChangelogError, releaseChangelog } from "./changelog.js";

const FILE = new URL("../CHANGELOG.md", import.meta.url);

try {
  const version = process.env.npm_new_version;
  if (version === undefined) throw new ChangelogError("this is a part of npm version: npm version <major|minor|patch>");
  const released = releaseChangelog(readFileSync(FILE, "utf8"), version, new Date().toISOString().slice(0, 10));
  if (!process.argv.includes("--check")) writeFileSync(FILE, released);
} catch (error) {
  if (!(error instanceof ChangelogError)) throw error;
  console.error(`\nnot released: ${error.message}\n`);
  process.exitCode = 1;
}

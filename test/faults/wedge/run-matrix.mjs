// Every wedge on every Node that is supported: `npm run test:wedge [-- 20 24]`. Installs what is missing, as `.ci/run`
// does, and prints what each process ended with and how long after its wedge.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const versions = process.argv.slice(2);
if (versions.length === 0) versions.push("20", "22", "24", "26");
const folder = mkdtempSync(path.join(tmpdir(), "ostinato-matrix-"));

function run(command, args, env = {}) {
  return spawnSync(command, args, { stdio: "inherit", env: { ...process.env, ...env } }).status === 0;
}

function nodeOf(version) {
  if (process.versions.node.startsWith(`${version}.`)) return process.execPath;
  const prefix = path.join(".cache", `node-${version}`);
  const node = path.join(prefix, "node_modules", ".bin", "node");
  if (!existsSync(node)) run("npm", ["install", "--silent", "--no-save", "--prefix", prefix, `node@${version}`]);
  return existsSync(node) ? path.resolve(node) : undefined;
}

const failed = [];
/** Name of the wedge, and version, to what was seen. */
const seen = new Map();
try {
  for (const version of versions) {
    const node = nodeOf(version);
    const times = path.join(folder, version);
    const env = { OSTINATO_WEDGES: "all", OSTINATO_WEDGE_TIMES: times };
    const vitest = ["node_modules/vitest/vitest.mjs", "run", "--project", "faults", "test/faults/wedge"];
    console.log(`\n=== Node ${version}: ${node ?? "could not be installed"}`);
    if (node === undefined || !run(node, vitest, env)) failed.push(version);
    const lines = existsSync(times) ? readFileSync(times, "utf8").trim().split("\n") : [];
    for (const [, name, code, ms] of lines.map((line) => line.split(" "))) {
      seen.set(name, { ...seen.get(name), [version]: `${code} ${(Number(ms) / 1000).toFixed(1)} s` });
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

console.log("\nExit code, and seconds from the wedge to the end of the process (stall timeout 1.3 s):");
console.table(Object.fromEntries(seen));
if (failed.length > 0) {
  console.error(`failed on Node ${failed.join(", ")}`);
  process.exitCode = 1;
}

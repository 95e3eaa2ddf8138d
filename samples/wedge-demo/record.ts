import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { terminalSvg, type TimedLine } from "./svg.js";

// Plays the demo and writes what it says to docs/wedge-demo.svg: `npm run demo:record`.

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FILE = path.join(ROOT, "docs/wedge-demo.svg");
const COLUMNS = 80;
const TITLE = "A worker process gets stuck in a regular expression; it is ended, replaced, and nothing is lost";

const lines: TimedLine[] = [{ text: "$ npm run demo:wedge", atSeconds: 0 }];
const child = spawn(process.execPath, [...process.execArgv, path.join(ROOT, "samples/wedge-demo/main.ts")], {
  cwd: ROOT,
  env: { ...process.env, FORCE_COLOR: "1" },
  stdio: ["ignore", "pipe", "inherit"],
});
let firstAt: number | undefined;
createInterface({ input: child.stdout }).on("line", (text) => {
  firstAt ??= performance.now();
  lines.push({ text, atSeconds: 0.5 + (performance.now() - firstAt) / 1000 });
  console.log(text);
});
child.once("close", (code) => {
  process.exitCode = code ?? 1;
  if (process.exitCode !== 0) {
    console.error("the demo failed; nothing is written");
    return;
  }
  const svg = terminalSvg(lines, COLUMNS, TITLE);
  mkdirSync(path.dirname(FILE), { recursive: true });
  writeFileSync(FILE, svg);
  console.log(`\n${path.relative(ROOT, FILE)}: ${(svg.length / 1024).toFixed(0)} KiB`);
});

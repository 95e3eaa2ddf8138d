import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { startGuarded } from "../servers/real-conductor/guarded-process.js";

// Starts a guarded program that would run for long, tells where it is, and waits to be killed.
const folder = mkdtempSync(path.join(tmpdir(), "ostinato-guarded-"));
const { pid } = await startGuarded({ command: "sleep", args: ["600"], folder, logFile: path.join(folder, "log") });
console.log(`started ${pid} in ${folder}`);

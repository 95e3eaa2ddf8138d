import cluster from "node:cluster";
import { loseUnwritableLines } from "../../base/unwritable-output.js";
import { SUPERVISED_ENV } from "../messages.js";

/** This process is a child of a supervisor. A process that such a child forks inherits the variable, and is none. */
export function isSupervised(): boolean {
  return cluster.isWorker && process.env[SUPERVISED_ENV] !== undefined;
}

// The next process would inherit the same stdout, and end of its first line, too; its script may write before it starts a
// handler. Nobody reads its stderr when the primary is gone.
if (isSupervised()) loseUnwritableLines();

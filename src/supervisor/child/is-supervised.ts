import cluster from "node:cluster";
import { SUPERVISED_VARIABLE } from "../messages.js";

/** This process is a child of a supervisor. A process that such a child forks inherits the variable, and is none. */
export function isSupervised(): boolean {
  return cluster.isWorker && process.env[SUPERVISED_VARIABLE] !== undefined;
}

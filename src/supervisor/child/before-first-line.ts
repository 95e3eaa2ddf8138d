import { loseUnwritableLines } from "../../base/unwritable-output.js";
import { takeReportFd } from "../../liveness/report-fd.js";
import { isSupervised } from "./is-supervised.js";

/**
 * The one module that does something by being imported, and package.json lists it under `sideEffects` for that. In a
 * process that a supervisor has started it acts before the first line of the script that imports Ostinato; in any other
 * it does nothing.
 *
 * That cannot wait until the script starts a handler. A line that it writes before, to a full disk or a closed terminal,
 * would end the process, and the next one inherits the same stdout and ends at the same line; nobody reads its stderr
 * when the primary is gone. And what the script starts before must not take a descriptor of its own for the report's.
 *
 * The primary could have Node load it instead (`--require` with a path). Then a new process would depend on a file of
 * the primary's own copy, which may be gone: a deploy replaces that copy before it has the processes replaced.
 */
if (isSupervised()) {
  loseUnwritableLines();
  takeReportFd();
}

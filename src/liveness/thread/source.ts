import { LADDER_SOURCE } from "./exit-source.js";
import { JUDGE_SOURCE } from "./judge-source.js";
import { MAIN_SOURCE } from "./main-source.js";
import { NATIVE_CALL_SOURCE } from "./native-call-source.js";
import { PROBE_SOURCE, PROBE_URL } from "./probe-source.js";
import { REPORT_SOURCE } from "./report-source.js";

const HEAD = `'use strict';
const { parentPort, Worker, workerData } = require('node:worker_threads');
const fs = require('node:fs');
const os = require('node:os');
const PROBE_URL = ${JSON.stringify(PROBE_URL)};
`;

/**
 * The watchdog thread, as one text of plain JavaScript (CommonJS, nothing but `node:` modules): what loads it does not
 * matter, neither a loader (tsx), nor a bundler, nor the flags of the process.
 */
export const WATCHDOG_SOURCE = [
  HEAD,
  JUDGE_SOURCE,
  NATIVE_CALL_SOURCE,
  PROBE_SOURCE,
  REPORT_SOURCE,
  LADDER_SOURCE,
  MAIN_SOURCE,
].join("");

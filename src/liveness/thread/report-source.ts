/** Thread source: a stall in words, and where the words go. Nothing here may throw, or block for ever. */
export const REPORT_SOURCE = String.raw`
/** How long a full pipe is tried again, in ms. */
const WRITE_BOUND_MS = 500;

const framesOf = (/** @type {string} */ stack) => stack.split('\n').map((line) => line.trim().replace(/^at /, ''));
/** Not Node's own, nor the engine's. */
const isOwnFrame = (/** @type {string} */ frame) => !/node:internal|\(node:|^node:|<anonymous>|\(native\)/.test(frame);

/** The first frame of the stack that is code of the user's, or of a library; else the first. */
function guiltyFrame(/** @type {string} */ stack) {
  const frames = framesOf(stack);
  return frames.find(isOwnFrame) ?? frames[0];
}

/** Whether there is code of the user's, or of a library, in it. */
function isTelling(/** @type {string | undefined} */ stack) {
  return stack !== undefined && framesOf(stack).some(isOwnFrame);
}

/** Said only where it explains the stall: a main thread that was ready most of the time, and got no CPU. */
function tellCpu(/** @type {{ ofMs: number, waitedMs: number } | undefined} */ cpu) {
  if (cpu === undefined || cpu.waitedMs * 2 < cpu.ofMs) return '';
  const seconds = (/** @type {number} */ ms) => (ms / 1000).toFixed(1);
  const waited = seconds(cpu.waitedMs) + ' of the last ' + seconds(cpu.ofMs) + ' s';
  return '; it waited for a CPU ' + waited + " (other processes, or the container's CPU limit)";
}

/**
 * The stall in a sentence.
 * @param {any} report
 * @param {number} exitCode
 */
function tellStall(report, exitCode) {
  const stuck = report.stuck.join(', ');
  const seconds = (report.stalledMs / 1000).toFixed(1) + ' s';
  const what =
    report.reason === 'request'
      ? 'a request has not ended for ' + seconds + ', beyond its deadline (' + stuck + ')'
      : 'no iteration of the poll loop for ' + seconds + ' (' + stuck + ')';
  const last = report.lastEntered === undefined ? '' : '; the function entered last is of ' + report.lastEntered;
  const seen = report.nativeCall === undefined ? '' : ': ' + report.nativeCall;
  /** @type {Record<string, string>} */
  const main = {
    turning: 'the event loop turns',
    busy: 'the main thread is busy' + (report.stack === undefined ? '' : ' in ' + guiltyFrame(report.stack)) + last,
    native: 'the main thread is in a native call' + seen + last,
    unknown: 'the main thread cannot be looked into' + seen + last,
  };
  const cpu = tellCpu(report.cpu);
  return 'stuck: ' + what + '; ' + main[report.mainThread] + cpu + '; ending the process with exit code ' + exitCode;
}

/**
 * A line as pino writes them.
 * @param {number} level
 * @param {object} fields
 * @param {string} msg
 */
function logLine(level, fields, msg) {
  const head = { level, time: Date.now(), pid: process.pid, hostname: os.hostname(), name: 'ostinato' };
  return JSON.stringify({ ...head, ...fields, msg }) + '\n';
}

/**
 * Writes all of it, or what a full pipe takes within the bound. A descriptor that blocks is not ours to unblock: the
 * end of the process is armed before.
 * @param {number} fd
 * @param {string} text
 */
function writeBounded(fd, text) {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const until = performance.now() + WRITE_BOUND_MS;
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(fd, rest));
    } catch (error) {
      const { code } = /** @type {NodeJS.ErrnoException} */ (error);
      if ((code !== 'EAGAIN' && code !== 'EINTR') || performance.now() > until) return false;
      Atomics.wait(pause, 0, 0, 5);
    }
  }
  return true;
}

/**
 * Whole or not at all: beside it first, then renamed. Throws what the file system says.
 * @param {string} file
 * @param {string} text
 */
function writeFileWhole(file, text) {
  const beside = file + '.' + process.pid + '.tmp';
  fs.rmSync(beside, { force: true });
  try {
    fs.writeFileSync(beside, text, { mode: 0o600, flag: 'wx' });
    fs.renameSync(beside, file);
  } catch (error) {
    try {
      fs.rmSync(beside, { force: true });
    } catch {
      // The first error is the one that says something.
    }
    throw error;
  }
}

/**
 * First the lines (to who reads the log, and bare to a supervisor), which cannot hang on a file system; then the file.
 * @param {any} report
 * @param {number} exitCode
 * @param {number | undefined} reportFd
 * @param {string | undefined} reportFile
 */
function publish(report, exitCode, reportFd, reportFile) {
  const line = logLine(60, { stall: report, exitCode }, tellStall(report, exitCode));
  writeBounded(2, line);
  if (reportFd !== undefined) writeBounded(reportFd, JSON.stringify(report) + '\n');
  if (reportFile === undefined) return;
  try {
    const { time, pid, hostname, msg } = JSON.parse(line);
    writeFileWhole(reportFile, JSON.stringify({ time, pid, hostname, exitCode, msg, ...report }, null, 2) + '\n');
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    writeBounded(2, logLine(50, { reportFile }, 'the stall report could not be written: ' + message));
  }
}
`;

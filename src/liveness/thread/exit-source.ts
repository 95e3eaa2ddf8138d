/**
 * The ways to end the process, from whatever thread.
 *
 * `process.exit()` ends only the thread it is called in, and on the main thread it may wait for ever for a stuck pool
 * thread; signals to oneself do nothing as PID 1. `proc_exit` of WASI calls C's `exit()` from where it is called. Should
 * that hang, too (a destructor joins the pool): SIGKILL; and as PID 1 a trap, which the kernel does not drop.
 */
const WAYS_SOURCE = String.raw`
const sleepHere = (/** @type {number} */ ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** A module that calls proc_exit(code). */
function exitModule(/** @type {number} */ code) {
  const text = (/** @type {string} */ s) => [s.length, ...Buffer.from(s)];
  const section = (/** @type {number} */ id, /** @type {number[]} */ bytes) => [id, bytes.length, ...bytes];
  // i32.const code (signed LEB128), call 0
  const body = [0, 0x41, (code & 0x7f) | 0x80, (code >> 7) & 0x7f, 0x10, 0, 0x0b];
  return new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [2, 0x60, 1, 0x7f, 0, 0x60, 0, 0]),
    ...section(2, [1, ...text('wasi_snapshot_preview1'), ...text('proc_exit'), 0, 0]),
    ...section(3, [1, 1]), ...section(5, [1, 0, 1]),
    ...section(7, [2, ...text('memory'), 2, 0, ...text('_start'), 0, 1]),
    ...section(10, [1, body.length, ...body])]);
}

/** Everything but the last call is done ahead. */
function prepareExit(/** @type {number} */ code) {
  // Hides that WASI is experimental.
  process.removeAllListeners('warning');
  const { WASI } = require('node:wasi');
  const wasi = new WASI({ version: 'preview1', returnOnExit: false });
  const imports = /** @type {WebAssembly.Imports} */ (wasi.getImportObject());
  const instance = new WebAssembly.Instance(new WebAssembly.Module(exitModule(code)), imports);
  return () => wasi.start(instance);
}

/** Returns where that is not allowed, or not possible (PID 1). */
function kill() {
  try {
    process.kill(process.pid, 'SIGKILL');
  } catch {
    // Not allowed.
  }
  sleepHere(250);
}

function trap() {
  require('node:v8').setFlagsFromString('--allow-natives-syntax');
  // Not new Function: it may be forbidden (--disallow-code-generation-from-strings).
  new (require('node:vm').Script)('%SystemBreak()').runInThisContext();
}
`;

/**
 * Source of the threads that end the process, each started ahead and sleeping until it is told to go, or until the stage
 * it sleeps in has lasted too long: whatever happens to the thread that armed them, the process ends.
 */
export const EXIT_THREAD_SOURCE = String.raw`'use strict';
const { workerData } = require('node:worker_threads');
/** @type {{ role: 'exit' | 'kill', words: Int32Array, limitsMs: number[], exitCode: number, killAfterMs: number }} */
const { role, words, limitsMs, exitCode, killAfterMs } = workerData;
const [STAGE, KILL_NOW, KILLER_SLEEPS] = [0, 1, 2];
${WAYS_SOURCE}
/** Until the last stage is reached, or an earlier one has lasted too long. */
function waitForGo() {
  for (let stage = Atomics.load(words, STAGE); stage < limitsMs.length; stage = Atomics.load(words, STAGE)) {
    if (Atomics.wait(words, STAGE, stage, limitsMs[stage]) === 'timed-out') return;
  }
}

if (role === 'exit') {
  const exit = prepareExit(exitCode);
  waitForGo();
  // exit() takes apart what a thread that begins is about to use.
  Atomics.wait(words, KILLER_SLEEPS, 0, 200);
  exit();
} else {
  Atomics.store(words, KILLER_SLEEPS, 1);
  Atomics.notify(words, KILLER_SLEEPS);
  waitForGo();
  Atomics.wait(words, KILL_NOW, 0, killAfterMs);
  kill();
  trap();
}
`;

/** Thread source: arms the end of the process. */
export const LADDER_SOURCE = String.raw`
${WAYS_SOURCE}
/** The last step follows this long after the first, in ms. */
const KILL_AFTER_MS = 1000;

/** Where no more threads may be started (a limit on processes counts them), this one has to do it. */
function endHere(/** @type {number} */ exitCode) {
  kill();
  try {
    prepareExit(exitCode)();
  } catch {
    trap();
  }
}

/**
 * Starts the threads that end the process, asleep. They wake by themselves when a stage lasts longer than its limit.
 * @param {string} source of these threads
 * @param {number} exitCode
 * @param {number[]} limitsMs how long each stage before the end may last
 */
function armExit(source, exitCode, limitsMs) {
  const words = new Int32Array(new SharedArrayBuffer(12));
  const wake = (/** @type {number} */ index, /** @type {number} */ value) => {
    Atomics.store(words, index, value);
    Atomics.notify(words, index);
  };
  const killNow = () => wake(1, 1);
  const start = (/** @type {'exit' | 'kill'} */ role) => {
    const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };
    const data = { role, words, limitsMs, exitCode, killAfterMs: KILL_AFTER_MS };
    return new Worker(source, { eval: true, execArgv: [], env: {}, resourceLimits, workerData: data });
  };
  let armed = 0;
  // WebAssembly or WASI may not be there (--jitless, --permission): then the last step is the first.
  try {
    start('exit').on('error', killNow);
    armed += 1;
  } catch {
    killNow();
  }
  try {
    start('kill').on('error', () => {});
    armed += 1;
  } catch {
    // One of them is enough, most times.
  }
  const go = () => {
    wake(0, limitsMs.length);
    if (armed === 0) endHere(exitCode);
  };
  return {
    stage(/** @type {number} */ stage) {
      wake(0, stage);
      if (armed === 0) setTimeout(go, limitsMs[stage]);
    },
    go,
  };
}
`;

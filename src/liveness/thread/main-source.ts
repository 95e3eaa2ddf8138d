/** Thread source: looks at the boards, and on a stall collects evidence, tells it and ends the process. */
export const MAIN_SOURCE = String.raw`
/** How long the main thread may take to answer from amid what it does, in ms: a builtin must finish first. */
const PROBE_BOUND_MS = 1000;
/** How long it may take to show that its event loop turns, after it has answered the probe, in ms. */
const TURN_BOUND_MS = 300;
/** How long to ask again where the main thread was met between two of the user's functions, in ms. */
const ASK_AGAIN_MS = 150;
/** How long to wait for its next statement then, in ms. */
const PAUSE_BOUND_MS = 300;
/** Writing the report may block on what it is written to; the process ends all the same, in ms. */
const WRITE_STAGE_MS = 2000;
/** How long the main thread may take to stand still, in ms: an interrupt takes 1 to 4, if nothing else runs. */
const HOLD_BOUND_MS = 250;
/** Beyond the grace of the main thread: its listeners of 'exit', in ms. */
const LEAVE_MS = 1000;

/**
 * @typedef {import('./protocol.js').ThreadData} ThreadData
 * @typedef {import('./protocol.js').Attachment} Attachment
 * @typedef {import('./protocol.js').ToThread} ToThread
 * @typedef {import('./protocol.js').DeclaredStall} DeclaredStall
 * @typedef {{ attachment: Attachment, words: Int32Array, judge: ReturnType<typeof createJudge>,
 *   cpu: ReturnType<typeof createCpuMeter> }} Watched
 * @typedef {{ reason: string, stuck: string[], stalledMs: number, phase: string }} Stall
 */
/** @type {ThreadData} */
const config = workerData;
const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
/** @type {Map<number, Watched>} */
const watched = new Map();
/** @type {ReturnType<typeof armExit> | undefined} */
let ladder;
let isExamining = false;
/** @type {(() => void) | undefined} */
let onHere;
/** @type {NodeJS.Timeout | undefined} */
let interval;
let lastTickAt = performance.now();

function attach(/** @type {Attachment} */ attachment) {
  const words = new Int32Array(attachment.buffer);
  const judge = createJudge(words, config.layout, config.cellOff, attachment.stallMs);
  // Two halves: what it tells is of the stall alone.
  const cpu = createCpuMeter(attachment.stallMs / 2);
  watched.set(attachment.id, { attachment, words, judge, cpu });
  rewind();
}

function rewind() {
  clearInterval(interval);
  const tickMs = Math.min(...Array.from(watched.values(), ({ attachment }) => tickMsFor(attachment.stallMs)));
  lastTickAt = performance.now();
  if (watched.size > 0) interval = setInterval(tick, tickMs, tickMs);
}

function tick(/** @type {number} */ tickMs) {
  const now = performance.now();
  const gapMs = now - lastTickAt;
  lastTickAt = now;
  if (isExamining || ladder !== undefined) return;
  for (const one of watched.values()) {
    one.cpu.note();
    const verdict = one.judge.tick(gapMs, tickMs);
    if (verdict === null) continue;
    const stall = {
      reason: 'loop',
      stuck: verdict.cells.map((cell) => one.attachment.names[cell] ?? 'loop ' + cell),
      stalledMs: Math.round(verdict.stalledMs),
      phase: phasesOf(one, verdict.cells),
    };
    void examine(one, stall, () => one.judge.hasRecovered(verdict));
    return;
  }
}

/** What these loops did last, each phase once. */
function phasesOf(/** @type {Watched} */ { words }, /** @type {number[]} */ cells) {
  const { layout, phases } = config;
  const phaseOf = (/** @type {number} */ cell) =>
    phases[Atomics.load(words, layout.firstCell + cell * layout.wordsPerCell + layout.phase)] ?? 'unknown';
  return [...new Set(cells.map(phaseOf))].join(', ');
}

function declare(/** @type {number} */ id, /** @type {DeclaredStall} */ { reason, stuck, stalledMs }) {
  const one = watched.get(id);
  if (one === undefined || ladder !== undefined) return;
  const phase = phasesOf(one, [...one.attachment.names.keys()]);
  const stall = { reason, stuck: [stuck], stalledMs: Math.round(stalledMs), phase };
  // Only a handler that has stopped meanwhile takes it back.
  void examine(one, stall, () => watched.get(id) !== one);
}

/**
 * Collects the evidence, and ends the process unless the loop goes on meanwhile.
 * @param {Watched} one
 * @param {Stall} stall
 * @param {() => boolean} hasRecovered
 */
async function examine(one, stall, hasRecovered) {
  if (isExamining) return;
  isExamining = true;
  const name = one.attachment.names[Atomics.load(one.words, config.layout.lastEntered)];
  const entered = name === undefined ? {} : { lastEntered: name };
  const cpu = one.cpu.lately();
  /** @type {any} */
  let report = { ...stall, ...entered, cpu, mainThread: 'unknown', inFlight: [], eventLoopDelayMs: stall.stalledMs };
  try {
    const evidence = await collect(one.attachment.id);
    // A supervisor hears no beats meanwhile, and would kill it.
    if (evidence === 'paused' && config.reportFd !== undefined) writeBounded(config.reportFd, '{"paused":true}\n');
    if (evidence === 'paused' || hasRecovered()) {
      for (const { judge } of watched.values()) judge.reset();
      return;
    }
    report = { ...report, ...evidence };
  } catch (error) {
    report.probeError = String(error);
  } finally {
    isExamining = false;
  }
  end(one.attachment, report);
}

/** What can be found out about the main thread; 'paused' when somebody debugs it. */
async function collect(/** @type {number} */ id) {
  let isTurning = false;
  /** @type {Promise<void>} */
  const here = new Promise((resolve) => {
    onHere = () => {
      isTurning = true;
      resolve();
    };
  });
  port.postMessage({ kind: 'areYouThere' });
  const beganAt = performance.now();
  const before = kernelView();
  const probe = openProbe(config.hook, id);
  try {
    const answer = await probe.ask(PROBE_BOUND_MS);
    if (answer.kind !== 'answered') {
      if (answer.kind === 'unavailable') await Promise.race([here, sleep(PROBE_BOUND_MS)]);
      if (isTurning) return { mainThread: 'turning' };
      const nativeCall = describeNativeCall(before, kernelView(), performance.now() - beganAt, process.arch);
      const seen = nativeCall === undefined ? {} : { nativeCall };
      if (answer.kind === 'silent') return { mainThread: 'native', ...seen };
      return { mainThread: 'unknown', probeError: answer.message, ...seen };
    }
    const { stack, inspectorUrl, described, activeResources } = answer.said;
    if (inspectorUrl !== undefined && (await probe.isPaused(200))) return 'paused';
    await Promise.race([here, sleep(TURN_BOUND_MS)]);
    const known = { ...described, activeResources };
    // A loop that turns may be seen at any innocent place.
    if (isTurning) return { mainThread: 'turning', ...known };
    const found = await tellingStack(probe, stack);
    return { mainThread: 'busy', ...(found === undefined ? {} : { stack: found }), ...known };
  } finally {
    onHere = undefined;
    probe.close();
  }
}

/**
 * Between two microtasks the stack is empty, or Node's alone; asked a few times, the main thread is met amid one.
 * @param {ReturnType<typeof openProbe>} probe
 * @param {string | undefined} first what was met already
 */
async function tellingStack(probe, first) {
  let stack = first;
  const until = performance.now() + ASK_AGAIN_MS;
  for (let leftMs = ASK_AGAIN_MS; !isTelling(stack) && leftMs > 0; leftMs = until - performance.now()) {
    // Let it get away from where it was met.
    await sleep(2);
    const again = await probe.ask(leftMs);
    if (again.kind !== 'answered') break;
    stack = again.said.stack ?? stack;
  }
  if (isTelling(stack)) return stack;
  return (await probe.stackOfNextStatement(PAUSE_BOUND_MS)) ?? stack;
}

/** Armed first, told second; then the main thread gets its grace, if it turns. */
function end(/** @type {Attachment} */ attachment, /** @type {any} */ report) {
  if (ladder !== undefined) return;
  const { stallExitCode, exitThreadSource, reportFd } = config;
  const { id, graceMs, reportFile } = attachment;
  ladder = armExit(exitThreadSource, stallExitCode, [WRITE_STAGE_MS, graceMs + LEAVE_MS]);
  try {
    publish(report, stallExitCode, reportFd, reportFile);
  } catch {
    // A report that cannot be told does not keep the process.
  }
  if (report.mainThread === 'turning') {
    port.postMessage({ kind: 'stalled', id, report });
    ladder.stage(1);
    return;
  }
  // What C's exit() takes apart must not be in use: where the main thread can be held, the exit code is 70 and no SIGSEGV.
  if (report.mainThread !== 'native') {
    openProbe(config.hook, config.hold).post();
    Atomics.wait(config.held, 0, 0, HOLD_BOUND_MS);
  }
  ladder.go();
}

port.on('message', (/** @type {ToThread} */ message) => {
  switch (message.kind) {
    case 'attach':
      attach(message.attachment);
      break;
    case 'detach':
      watched.delete(message.id);
      rewind();
      break;
    case 'declare':
      declare(message.id, message.stall);
      break;
    case 'here':
      onHere?.();
      break;
    case 'end':
      // After a stall it is armed already, with a bound for all that the main thread does.
      ladder ??= armExit(config.exitThreadSource, message.exitCode, [message.withinMs]);
      setTimeout(ladder.go, message.withinMs);
      break;
    case 'go':
      ladder?.go();
      break;
  }
});
for (const attachment of config.attachments) attach(attachment);
`;

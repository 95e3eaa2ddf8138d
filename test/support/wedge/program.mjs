// A worker process that gets stuck in the way its first argument names (see wedges.ts).
// Plain JavaScript on the built package, so that it runs on any Node.
import { execSync } from "node:child_process";
import { pbkdf2Sync } from "node:crypto";
import fs from "node:fs";
import { defineWorker, TaskHandler } from "ostinato";

const { WEDGE, SERVER_URL, TASK_TYPE, FIFO, ONCE, STALL_SECONDS = "1.3", HANDLER_OPTIONS = "{}" } = process.env;
/** Gets out at once, whatever happens next. */
const say = (text) => fs.writeSync(1, `${text}\n`);
const stuck = () => say(`stuck at ${Date.now()}`);
/** Whether this one may get stuck. `ONCE`: a file that is made by the one that does; then no other process does. */
const mayGetStuck = () => {
  if (ONCE === undefined) return true;
  try {
    fs.closeSync(fs.openSync(ONCE, "wx"));
    return true;
  } catch {
    return false;
  }
};
/** What the transport is asked to hang on. */
let hangsOn = () => false;

/** Each leaves the main thread, or the loop, stuck. Their names are looked for in the stack. */
const wedges = {
  whileTrue() {
    for (;;) wedges.count += 1;
  },
  regex() {
    return /^(a+)+$/.test("a".repeat(60) + "!");
  },
  atomicsWait() {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },
  execSync() {
    execSync("sleep 30", { stdio: "ignore" });
  },
  fifo() {
    fs.readFileSync(FIFO);
  },
  jsonParse() {
    // Several seconds in one call.
    JSON.parse(`[${"[1,2,3],".repeat(30_000_000)}0]`);
  },
  pbkdf2() {
    pbkdf2Sync("password", "salt", 200_000_000, 64, "sha512");
  },
  microtasks() {
    const again = () => Promise.resolve().then(again);
    void again();
  },
  async awaits() {
    for (;;) await null;
  },
  /** A library has put its own in place of stacks. */
  ownStacks() {
    Error.prepareStackTrace = () => 0;
    wedges.whileTrue();
  },
  nextTicks() {
    const again = () => process.nextTick(again);
    again();
  },
  garbage() {
    for (;;) wedges.kept = Array.from({ length: 10_000 }, () => ({ a: 1 }));
  },
  growing() {
    const kept = [];
    for (;;) kept.push(new Array(10_000).fill({}));
  },
  pollNeverEnds() {
    hangsOn = ({ path }) => path.startsWith("/tasks/poll/");
  },
  /** The result of this very task. */
  updateNeverEnds() {
    hangsOn = ({ method, path }) => {
      if (method !== "POST" || !path.startsWith("/tasks")) return false;
      hangsOn = () => false;
      return true;
    };
  },
  oneOfFive() {
    hangsOn = ({ path }) => path.startsWith(`/tasks/poll/batch/${TASK_TYPE}?`);
  },
  /** And so does what the process does last. */
  exitHangs() {
    process.on("exit", wedges.whileTrue);
    wedges.pollNeverEnds();
  },
  /** As fake timers that somebody left installed: nothing ends a poll, and the main thread cannot notice. */
  noTimers() {
    wedges.pollNeverEnds();
    const fake = { ref: () => fake, unref: () => fake, refresh: () => fake, hasRef: () => false };
    globalThis.setTimeout = () => fake;
    setInterval(() => {}, 1_000);
  },
  stuckPoolOnly() {
    for (let i = 0; i < 4; i += 1) fs.readFile(FIFO, () => {});
  },
  stuckPool() {
    for (let i = 0; i < 4; i += 1) fs.readFile(FIFO, () => {});
    setTimeout(wedges.whileTrue, 100);
  },
  stuckPoolTurning() {
    for (let i = 0; i < 4; i += 1) fs.readFile(FIFO, () => {});
    setTimeout(wedges.noTimers, 100);
  },
  async draining() {
    await new Promise((resolve) => process.once("SIGTERM", resolve));
    await new Promise((resolve) => setTimeout(resolve, 100));
    stuck();
    wedges.whileTrue();
  },
};

const execute = async ({ what }) => {
  say(`began ${what}`);
  if (what === "bystander" && !(ONCE !== undefined && fs.existsSync(ONCE))) await new Promise(() => {});
  if (what === "throwOutside")
    setTimeout(() => {
      throw new Error("nobody catches this");
    });
  if (what === "rejectOutside") void Promise.reject(new Error("nobody catches this"));
  if (what === "throwOutside" || what === "rejectOutside") await new Promise(() => {});
  if (what === "block600") for (const until = Date.now() + 600; Date.now() < until;);
  if (what === "long") await new Promise((resolve) => setTimeout(resolve, 4_000));
  if (what !== "wedge" || !mayGetStuck()) return { what };
  if (WEDGE !== "draining") stuck();
  await wedges[WEDGE]();
  return { what };
};

const others = WEDGE === "oneOfFive" ? ["b", "c", "d", "e"].map((name) => `${TASK_TYPE}-${name}`) : [];
const workers = [TASK_TYPE, ...others].map((taskDefName) =>
  defineWorker({ taskDefName, concurrency: 4, longPollMs: 100, execute }),
);
const wrapTransport = (transport) => ({
  request: (request) => (hangsOn(request) ? new Promise(() => {}) : transport.request(request)),
  close: () => transport.close(),
});
const options = {
  serverUrl: SERVER_URL,
  requestTimeoutMs: 200,
  stallTimeoutSeconds: Number(STALL_SECONDS),
  workers,
  ...JSON.parse(HANDLER_OPTIONS),
};
const handler = new TaskHandler(options, { wrapTransport });
handler.on("stalled", ({ reason, taskType }) => say(`stalled ${reason} ${taskType}`));
process.on("worker", (thread) => {
  say("thread started");
  if (process.env.THREAD_DIES) setTimeout(() => thread.terminate(), 50);
});
process.on("exit", (code) => say(`exit listener ${code}`));
if (WEDGE === "atStart" && mayGetStuck()) {
  await handler.start();
  stuck();
  wedges.whileTrue();
}
if (process.env.FILL_STDERR) {
  // Until the pipe that nobody reads takes no more.
  const filler = "x".repeat(16_384);
  try {
    for (;;) fs.writeSync(2, filler);
  } catch {
    say("stderr is full");
  }
}
if (process.env.START_ONLY) {
  await handler.start();
  process.once("SIGTERM", () => void handler.stop());
} else {
  const running = handler.run();
  say("running");
  await running;
  say("ran to the end");
}

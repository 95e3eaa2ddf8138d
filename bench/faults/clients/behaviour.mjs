// Measured workers run as plain Node runs an installed package: no loader in the process, and the build, not the source.

const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

const trap = () => {
  throw new Error("a trap");
};

/** What functions throw, by name. */
const THROWN = {
  undefined: undefined,
  null: null,
  string: "no such order",
  number: 42,
  symbol: Symbol("s"),
  frozen: Object.freeze(new Error("cold")),
  getters: Object.defineProperties({}, { message: { get: trap }, name: { get: trap }, stack: { get: trap } }),
  traps: new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap, ownKeys: trap }),
  long: new Error("x".repeat(1_000_000)),
};

/** Tells the parent, on a line of its own; pipes are written to before this returns. */
const say = (/** @type {string[]} */ ...words) => process.stdout.write(`@ ${words.join(" ")}\n`);

let release = () => {};
/** @type {Promise<void>} */
const released = new Promise((resolve) => (release = resolve));
process.stdin.once("data", () => release());
// A worker must be free to end.
process.stdin.unref?.();

/** @returns {{ serverUrl: string, taskType: string, concurrency: number, isShortOfExit?: boolean }} */
export const settings = () => JSON.parse(process.argv[2] ?? "{}");

/** The worker is about to poll. */
export const polling = () => say("polling");

/**
 * The function of every worker, whoever runs it: `mode` in the input says what it does.
 *
 * @param {{ taskId: string, workflowInstanceId: string, retryCount: number, inputData: any }} task
 */
export async function act({ taskId, workflowInstanceId, retryCount, inputData }) {
  const { mode, data, n } = inputData;
  say("began", workflowInstanceId, taskId);
  if (mode === "slow") await sleep(data);
  if (mode === "held") await released;
  if (mode === "hangs" && retryCount === 0) await new Promise(() => {});
  if (mode === "throws" && retryCount === 0) throw THROWN[/** @type {keyof typeof THROWN} */ (data)];
  say("finished", workflowInstanceId, taskId);
  return { done: true, n };
}

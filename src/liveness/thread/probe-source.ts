/**
 * Thread source: asks the main thread, within a bound, while it is busy. `Runtime.evaluate` runs inside an interrupt of
 * V8, also amid a loop; in a native call it does not, and nothing answers. The Debugger domain makes async code slower
 * for as long as the process lives: it is enabled only where somebody debugs already, or the process is doomed.
 */
export const PROBE_SOURCE = String.raw`
/**
 * What the main thread said of itself.
 * @typedef {{ stack?: string, inspectorUrl?: string, activeResources?: Record<string, number>,
 *   described?: { inFlight: string[], eventLoopDelayMs: number } }} Confession
 * @typedef {{ kind: 'answered', said: Confession } | { kind: 'silent' } | { kind: 'unavailable', message: string }} Answer
 */

const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** As V8 writes them, by the compiled source. */
function tellFrame(/** @type {any} */ { functionName, location }, /** @type {Map<string, string>} */ urls) {
  const place = [urls.get(location.scriptId), location.lineNumber + 1, location.columnNumber + 1].join(':');
  return '    at ' + (functionName === '' ? place : functionName + ' (' + place + ')');
}

/**
 * @param {string} hook the name of the function on the main thread
 * @param {number} id whose tasks are asked for
 */
function openProbe(hook, id) {
  /** @type {import('node:inspector').Session | undefined} */
  let session;
  /** @type {string | undefined} */
  let failure;
  try {
    // Asked for all the same, Node ends the process with a failed assertion.
    if (!config.mayInspect) throw new Error('the permission model does not allow the inspector');
    const { Session } = require('node:inspector');
    session = new Session();
    session.connectToMainThread();
  } catch (error) {
    session = undefined;
    failure = String(error);
  }
  const call = 'globalThis[Symbol.for(' + JSON.stringify(hook) + ')](' + id + ')';
  const expression = call + '\n//# sourceURL=' + PROBE_URL;

  /**
   * @param {string} method
   * @param {object} params
   * @param {number} boundMs
   * @returns {Promise<any>} undefined: no answer
   */
  const ask = (method, params, boundMs) =>
    new Promise((resolve) => {
      if (session === undefined) return resolve(undefined);
      // The timer also keeps this thread going: a question that is open does not.
      const timer = setTimeout(() => resolve(undefined), boundMs);
      session.post(method, params, (error, result) => {
        clearTimeout(timer);
        resolve(error === null ? result : undefined);
      });
    });
  /** @returns {Confession | undefined} */
  const parse = (/** @type {any} */ reply) => {
    const value = reply?.result?.value;
    return typeof value === 'string' ? JSON.parse(value) : undefined;
  };

  return {
    /** @returns {Promise<Answer>} */
    async ask(/** @type {number} */ boundMs) {
      if (session === undefined) return { kind: 'unavailable', message: failure ?? '' };
      const reply = await ask('Runtime.evaluate', { expression, returnByValue: true, silent: true }, boundMs);
      if (reply === undefined) return { kind: 'silent' };
      const said = parse(reply);
      return said === undefined ? { kind: 'unavailable', message: JSON.stringify(reply) } : { kind: 'answered', said };
    },
    /** Without waiting for an answer. */
    post() {
      try {
        session?.post('Runtime.evaluate', { expression, silent: true });
      } catch {
        // Then it goes on.
      }
    },
    /** Whether somebody holds the main thread at a breakpoint. */
    async isPaused(/** @type {number} */ boundMs) {
      let paused = false;
      session?.once('Debugger.paused', () => {
        paused = true;
      });
      await ask('Debugger.enable', {}, boundMs);
      if (!paused) await sleep(Math.min(20, boundMs));
      return paused;
    },
    /**
     * Where the interrupt meets nothing of the user's, the debugger stops the main thread at the next call.
     * @returns {Promise<string | undefined>}
     */
    async stackOfNextStatement(/** @type {number} */ boundMs) {
      if (session === undefined) return undefined;
      /** @type {Map<string, string>} */
      const urls = new Map();
      session.on('Debugger.scriptParsed', ({ params: script }) => urls.set(script.scriptId, script.url));
      /** @type {Promise<any>} */
      const paused = new Promise((resolve) => {
        const timer = setTimeout(() => resolve(undefined), boundMs);
        session?.once('Debugger.paused', (event) => {
          clearTimeout(timer);
          resolve(event.params);
        });
      });
      await ask('Debugger.enable', {}, boundMs);
      await ask('Debugger.pause', {}, boundMs);
      const state = await paused;
      const frame = state?.callFrames?.[0];
      if (frame === undefined) return undefined;
      const params = { callFrameId: frame.callFrameId, expression, returnByValue: true, silent: true };
      const mapped = parse(await ask('Debugger.evaluateOnCallFrame', params, 200))?.stack;
      return mapped ?? state.callFrames.map((/** @type {any} */ seen) => tellFrame(seen, urls)).join('\n');
    },
    close() {
      try {
        session?.disconnect();
      } catch {
        // The process is about to end.
      }
    },
  };
}
`;

/** Marks the probe's own frame, so that it can be cut from the stack. */
export const PROBE_URL = "ostinato-stall-probe";

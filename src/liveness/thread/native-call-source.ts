/**
 * Thread source: what the kernel sees the main thread do (Linux), in words that a person understands, with the raw
 * values behind them.
 */
export const NATIVE_CALL_SOURCE = String.raw`
/** @typedef {{ state: string, wchan: string, syscall: string, cpuTicks: number }} KernelView */
/** @typedef {NonNullable<import('../stall-report.js').StallReport['cpu']>} CpuShare */

/** @type {[RegExp, string][]} */
const BY_WCHAN = [
  [/pipe_(read|wait)/, 'reading from a pipe or FIFO'],
  [/pipe_write/, 'writing to a full pipe'],
  [/epoll|ep_poll/, 'waiting for a child process (execSync, spawnSync)'],
  [/futex/, 'waiting for a lock or for another thread'],
  [/do_wait|waitid/, 'waiting for a child process'],
  [/nanosleep|hrtimer/, 'asleep'],
  [/rpc_|nfs/, 'waiting for a network file system'],
  [/flock|posix_lock|locks_lock/, 'waiting for a file lock'],
  [/tty_read/, 'reading from a terminal'],
  [/sk_wait|tcp_|unix_stream|skb_|inet_/, 'waiting for a socket'],
  [/poll/, 'waiting for a descriptor'],
  [/io_schedule|folio_wait|wait_on_page|jbd2|blk_|bio_/, 'waiting for the disk'],
  [/dentry_open|fifo_open|wait_for_partner/, 'opening a FIFO whose other end is not open'],
];
/** @type {Record<string, Record<string, string>>} */
const BY_SYSCALL = {
  x64: { 0: 'read', 1: 'write', 7: 'poll', 35: 'sleep', 42: 'connect', 45: 'receive', 61: 'wait', 73: 'flock',
    74: 'fsync', 202: 'futex', 230: 'sleep', 232: 'epoll', 247: 'wait', 257: 'open', 271: 'poll', 281: 'epoll' },
  arm64: { 22: 'epoll', 32: 'flock', 56: 'open', 63: 'read', 64: 'write', 73: 'poll', 82: 'fsync', 95: 'wait',
    98: 'futex', 101: 'sleep', 115: 'sleep', 203: 'connect', 207: 'receive', 260: 'wait' },
};
/** @type {Record<string, string>} */
const SYSCALL_WORDS = {
  read: 'in a blocking read', write: 'in a blocking write', poll: 'waiting for a descriptor', sleep: 'asleep',
  connect: 'connecting', receive: 'waiting for a socket', wait: 'waiting for a child process', open: 'opening a file',
  flock: 'waiting for a file lock', fsync: 'waiting for the disk', futex: 'waiting for a lock or for another thread',
  epoll: 'waiting for a child process (execSync, spawnSync)',
};

/** What the kernel says of the main thread under this name; '' where it does not tell (not Linux, or not allowed). */
function ofMainThread(/** @type {string} */ name) {
  try {
    return fs.readFileSync('/proc/self/task/' + fs.readlinkSync('/proc/self') + '/' + name, 'utf8').trim();
  } catch {
    return '';
  }
}

/**
 * Asks the kernel; null where it does not tell.
 * @returns {KernelView | null}
 */
function kernelView() {
  // The name of the command, in parentheses, may hold anything.
  const stat = ofMainThread('stat').split(') ').pop() ?? '';
  const fields = stat.split(' ');
  if (fields.length < 13) return null;
  const cpuTicks = Number(fields[11]) + Number(fields[12]);
  const [syscall = ''] = ofMainThread('syscall').split(' ');
  return { state: fields[0], wchan: ofMainThread('wchan'), syscall, cpuTicks };
}

/**
 * Remembers how much CPU the main thread got: a thread that is ready and gets none looks stuck, and is not to blame.
 * @param {number} spanMs
 */
function createCpuMeter(spanMs) {
  const read = () => {
    const [ranNs, waitedNs] = ofMainThread('schedstat').split(' ').map(Number);
    return { at: performance.now(), ranMs: ranNs / 1e6, waitedMs: waitedNs / 1e6 };
  };
  let older = read();
  let newer = older;
  return {
    /** To be called often. */
    note() {
      if (performance.now() - newer.at < spanMs) return;
      older = newer;
      newer = read();
    },
    /**
     * Of the last one to two spans; undefined where the kernel does not tell.
     * @returns {CpuShare | undefined}
     */
    lately() {
      const now = read();
      const since = (/** @type {'at' | 'ranMs' | 'waitedMs'} */ key) => Math.round(now[key] - older[key]);
      const share = { ofMs: since('at'), ranMs: since('ranMs'), waitedMs: since('waitedMs') };
      // A kernel that does not count them says 0.
      return now.ranMs > 0 && now.waitedMs >= 0 ? share : undefined;
    },
  };
}

/**
 * @param {KernelView | null} before
 * @param {KernelView | null} after the same, gapMs later
 * @param {number} gapMs
 * @param {string} arch
 */
function describeNativeCall(before, after, gapMs, arch) {
  if (after === null) return undefined;
  const cpuMs = before === null ? 0 : (after.cpuTicks - before.cpuTicks) * 10;
  const raw = '(state ' + after.state + ', wchan ' + (after.wchan || '?') + ', syscall ' + (after.syscall || '?') + ')';
  if (cpuMs > gapMs / 2 || after.state === 'R' || after.syscall === 'running') {
    const share = before === null ? '' : ', ' + Math.min(100, Math.round((100 * cpuMs) / gapMs)) + ' % of a CPU';
    return 'computing (JSON, crypto, compression, a regular expression, garbage collection)' + share + ' ' + raw;
  }
  for (const [pattern, words] of BY_WCHAN) if (pattern.test(after.wchan)) return words + ' ' + raw;
  const call = (BY_SYSCALL[arch] ?? {})[after.syscall];
  if (call !== undefined) return SYSCALL_WORDS[call] + ' ' + raw;
  return (after.state === 'D' ? 'waiting for the disk' : 'waiting') + ' ' + raw;
}
`;

const loseLine = (): void => {};

/**
 * From now on a line that stdout or stderr does not take is lost, and no more: its disk may be full, its terminal closed,
 * the program behind a pipe gone. Without a listener that is an uncaught exception, which ends the process.
 */
export function loseUnwritableLines(): void {
  for (const stream of [process.stdout, process.stderr]) {
    if (!stream.listeners("error").includes(loseLine)) stream.on("error", loseLine);
  }
}

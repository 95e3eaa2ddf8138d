/** After an answer was lost no task is asked for along with an update for this long, in ms. */
const SUSPICION_MS = 2_000;
/** `update-v2` is asked for again so long after it was refused, in ms; doubled each time, up to the second. */
const FIRST_PAUSE_MS = 10_000;
const MAX_PAUSE_MS = 600_000;
/** So many results in a row over which only `update-v2` failed say that it is refused, however it fails. */
const MAX_FAILURES = 3;

/**
 * Whether the next task may be asked for along with an update, by `update-v2`. It is one endpoint of two: a server or a
 * gateway may not have it, in whatever words. That shows where `POST /tasks` takes what `update-v2` did not; then it is
 * left alone, and tried now and then by one result.
 */
export class Chaining {
  #suspectUntil = -Infinity;
  #failures = 0;
  #isRefused = false;
  #pauseMs = FIRST_PAUSE_MS;
  #notBefore = -Infinity;

  /** True: this result may go by `update-v2`. Where that is refused, one is let through each time it is due. */
  mayAsk(now: number): boolean {
    if (now < this.#suspectUntil || now < this.#notBefore) return false;
    if (this.#isRefused) {
      this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
      this.#notBefore = now + this.#pauseMs;
    }
    return true;
  }

  /** An answer that may have carried a task was lost: be careful for a while. */
  suspect(now: number): void {
    this.#suspectUntil = now + SUSPICION_MS;
  }

  /** `update-v2` has taken a result. True: that is news. */
  worked(): boolean {
    const isNews = this.#isRefused;
    this.#isRefused = false;
    this.#failures = 0;
    this.#pauseMs = FIRST_PAUSE_MS;
    this.#notBefore = -Infinity;
    return isNews;
  }

  /** `POST /tasks` has taken what `update-v2` refused, or (`isSure` false) failed over in another way. True: that is news. */
  refused(now: number, isSure: boolean): boolean {
    this.#failures += 1;
    if (this.#isRefused || (!isSure && this.#failures < MAX_FAILURES)) return false;
    this.#isRefused = true;
    this.#notBefore = now + this.#pauseMs;
    return true;
  }
}

/** Timers for any time that a caller may give: the platform's own fire at once beyond 24.8 days. */

// Node's documentation of setTimeout: a longer delay becomes 1.
const longestMs = 2 ** 31 - 1;

/** Calls `run` after `ms`; answers what cancels it. */
export function after(ms: number, run: () => void): () => void {
  let timer: NodeJS.Timeout;
  const wait = (left: number): void => {
    timer =
      left > longestMs
        ? setTimeout(() => wait(left - longestMs), longestMs)
        : setTimeout(run, left);
  };
  wait(ms);
  return () => clearTimeout(timer);
}

/** Aborts after `ms` with a TimeoutError, as `AbortSignal.timeout` does. `cancel` it when it is no longer needed. */
export function timeoutSignal(ms: number): { signal: AbortSignal; cancel(): void } {
  const abort = new AbortController();
  const cancel = after(ms, () =>
    abort.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')),
  );
  return { signal: abort.signal, cancel };
}

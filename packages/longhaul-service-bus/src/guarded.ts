/**
 * The one place through which all runs that others set off: bytes and requests of clients, turns of the
 * loop, timers. What throws there ends what asked for it, never the process.
 */
export type Failed = (fault: unknown) => void;

/** Makes a callback safe to be called by anybody. */
export type Guard = <A extends unknown[]>(act: (...args: A) => unknown) => (...args: A) => void;

export const guardWith =
  (failed: Failed): Guard =>
  (act) =>
  (...args) => {
    try {
      const outcome = act(...args);
      if (outcome instanceof Promise) outcome.catch(failed);
    } catch (fault) {
      failed(fault);
    }
  };

/** For faults of the broker itself, which no client is to blame for. */
export function tell(what: string): Failed {
  return (fault) =>
    process.emitWarning(`${what}: ${fault instanceof Error ? fault.stack : String(fault)}`);
}

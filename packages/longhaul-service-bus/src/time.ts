/** Time as the broker needs it: what a clock on the wall says, and what has passed. */
import { type Clock, systemClock } from './clock.ts';
import { guardWith, tell } from './guarded.ts';

export interface BrokerClock extends Clock {
  /** Milliseconds that only rise, also when somebody sets the clock: locks last by it. */
  elapsed(): number;
}

/** Whatever a timer calls, it does not end the process. A clock that knows no `elapsed` never jumps. */
export function brokerClock(clock: Clock & { elapsed?: () => number }): BrokerClock {
  const guard = guardWith(tell('A timer of the broker failed'));
  const passed = clock === systemClock ? () => performance.now() : () => clock.now();
  return {
    now: () => clock.now(),
    elapsed: clock.elapsed ? () => clock.elapsed?.() ?? 0 : passed,
    after: (delayMs, run) => clock.after(delayMs, guard(run)),
  };
}

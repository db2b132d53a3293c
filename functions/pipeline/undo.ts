/**
 * Takes back the kept steps of a job that failed for good or was cancelled, the last one first.
 *
 * The handler is run once more to get at its undo functions: steps that were kept answer at once and
 * hand them in, and at the first thing that was not kept it goes no further.
 */
import { StepChangedError } from '../errors.ts';
import { asError } from '../model/error-record.ts';
import { withoutStarts } from './crashes.ts';
import { createJob } from './job.ts';
import { asStep } from './on-behalf.ts';
import type { Happened } from './outcome.ts';
import { pause } from './pause.ts';
import type { Run } from './run.ts';
import { KeyState } from './session-state.ts';

/** The step whose turn it is; those that were given up are left out. */
export function nextToUndo({ checkpoint, lease }: Run): string | undefined {
  const givenUp = lease.record.undone?.filter(({ error }) => error).map(({ step }) => step) ?? [];
  return checkpoint.undoable.find((name) => !givenUp.includes(name));
}

export async function undoSteps(running: Run, input: unknown): Promise<Happened> {
  const { definition, suspension } = running;
  const undo = new HandedIn(running.checkpoint.undoable);
  const run = { ...running, undo };
  const job = createJob(run, new KeyState(run));
  // How it ended is known: what it returns or throws now does not count.
  void (async () => definition.run(input as never, job as never))()
    .catch(() => undefined)
    // What else it began beside is let to its end.
    .finally(() => suspension.stop());
  // Not longer than it takes: what follows the last kept step may be long.
  await Promise.race([suspension.suspended, undo.complete]);
  for (let step = nextToUndo(running); step !== undefined; step = nextToUndo(running)) {
    try {
      await undoOne(running, step, await handedIn(running, undo, step));
    } catch (error) {
      // An abort outranks what the undo made of it.
      running.signal.throwIfAborted();
      return { kind: 'undo-failed', step, error: asError(error) };
    }
  }
  return { kind: 'undone' };
}

/** What the handler has handed in, and when that is all. */
class HandedIn extends Map<string, () => Promise<void>> {
  readonly #wanted: readonly string[];
  #finish: () => void = () => undefined;
  readonly complete = new Promise<void>((resolve) => {
    this.#finish = resolve;
  });

  constructor(wanted: readonly string[]) {
    super();
    this.#wanted = wanted;
  }

  override set(step: string, undo: () => Promise<void>): this {
    super.set(step, undo);
    if (this.#wanted.every((name) => this.has(name))) this.#finish();
    return this;
  }
}

// Code between steps takes its time.
const patienceMs = 5_000;
const lookEveryMs = 50;

/** The undo of a step, once the handler has come by it. @throws StepChangedError */
async function handedIn(
  { app: { clock }, signal }: Run,
  undo: ReadonlyMap<string, () => Promise<void>>,
  step: string,
): Promise<() => Promise<void>> {
  for (let waitedMs = 0; ; waitedMs += lookEveryMs) {
    const found = undo.get(step);
    if (found) return found;
    if (waitedMs >= patienceMs)
      throw new StepChangedError(`The undo of step '${step}' is no longer there`);
    await pause(clock, lookEveryMs);
    signal.throwIfAborted();
  }
}

async function undoOne(
  { checkpoint, signal, app: { clock } }: Run,
  step: string,
  undo: () => Promise<void>,
): Promise<void> {
  signal.throwIfAborted();
  await asStep(`the undo of ${step}`, undo);
  checkpoint.forget(step);
  const done = { step, at: clock.now().toISOString() };
  await checkpoint.write((record) => ({
    ...withoutStarts(record),
    undone: [...(record.undone ?? []), done],
  }));
}

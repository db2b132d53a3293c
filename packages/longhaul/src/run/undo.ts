/**
 * Takes back the kept steps of a job that failed for good or was cancelled, the last one first.
 *
 * The handler is run once more to get at its undo functions: steps that were kept answer at once and
 * hand them in, and at the first thing that was not kept a branch of it goes no further.
 */
import { StepChangedError } from '../errors.ts';
import { withoutStarts } from '../fate/crashes.ts';
import type { AttemptOutcome } from '../fate/outcome.ts';
import { asStep } from '../handler/on-behalf.ts';
import type { Run } from '../handler/run.ts';
import { KeyState } from '../handler/session-state.ts';
import { asError } from '../model/error-record.ts';
import { pause } from '../record/pause.ts';
import { createJob } from './job.ts';

/** The steps that are to be undone, the last one first; those that were given up are left out. */
function leftToUndo({ checkpoint, lease }: Run): string[] {
  const givenUp = lease.record.undone?.filter(({ error }) => error).map(({ step }) => step) ?? [];
  return checkpoint.undoable.filter((name) => !givenUp.includes(name));
}

/** The step whose turn it is. */
export const nextToUndo = (run: Run): string | undefined => leftToUndo(run)[0];

export async function undoSteps(running: Run, input: unknown): Promise<AttemptOutcome> {
  const undo = new HandedIn(() => leftToUndo(running));
  if (undo.isWhole) return { kind: 'undone' };
  const run = { ...running, undo };
  const job = createJob(run, new KeyState(run));
  // How it ended is known: what it returns or throws now does not count.
  void (async () => running.definition.run(input as never, job as never))().catch(() => undefined);
  await allHandedIn(running, undo);
  for (let step = nextToUndo(running); step !== undefined; step = nextToUndo(running)) {
    try {
      const act = undo.get(step);
      if (!act) throw new StepChangedError(`The undo of step '${step}' is no longer there`);
      await undoOne(running, step, act);
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
  readonly #wanted: () => readonly string[];
  #finish: () => void = () => undefined;
  readonly complete = new Promise<void>((resolve) => {
    this.#finish = resolve;
  });

  /** `wanted` is asked each time: a step may have got another name. */
  constructor(wanted: () => readonly string[]) {
    super();
    this.#wanted = wanted;
  }

  get isWhole(): boolean {
    return this.#wanted().every((name) => this.has(name));
  }

  override set(step: string, undo: () => Promise<void>): this {
    super.set(step, undo);
    if (this.isWhole) this.#finish();
    return this;
  }
}

// Code between steps takes its time.
const patienceMs = 5_000;
const lookEveryMs = 50;

/** Resolves once the handler has come by all that is to be undone, or by nothing for a while. */
async function allHandedIn({ app: { clock }, signal }: Run, undo: HandedIn): Promise<void> {
  for (let quietMs = 0; !undo.isWhole && quietMs < patienceMs; ) {
    const { size } = undo;
    await Promise.race([undo.complete, pause(clock, lookEveryMs)]);
    signal.throwIfAborted();
    quietMs = undo.size === size ? quietMs + lookEveryMs : 0;
  }
}

async function undoOne(
  { checkpoint, signal, app: { clock } }: Run,
  step: string,
  undo: () => Promise<void>,
): Promise<void> {
  signal.throwIfAborted();
  const from = clock.now().toISOString();
  await asStep(`the undo of ${step}`, undo);
  const { ran } = checkpoint.get(step) ?? {};
  checkpoint.forget(step);
  const done = { step, from, at: clock.now().toISOString(), ...(ran ? { ran } : {}) };
  await checkpoint.write((record) => ({
    ...withoutStarts(record),
    undone: [...(record.undone ?? []), done],
  }));
}

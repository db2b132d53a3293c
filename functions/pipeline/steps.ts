/** `job.step` and `job.checkpoint`: work whose outcome is kept. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Job } from '../define-job.ts';
import { StepChangedError } from '../errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { failureOf, orFail } from './failures.ts';
import { pause } from './pause.ts';
import { asStep, type Run, refuseInsideStep } from './run.ts';
import { validate } from './validate.ts';

export function createSteps(run: Run): Pick<Job, 'step' | 'checkpoint'> {
  return {
    step: (name, act, options = {}) =>
      run.calls.watch(`Step '${name}'`, () =>
        step(run, name, act, options as StepOptions),
      ) as never,
    checkpoint: (name, start, loop) =>
      run.calls.watch(`Checkpoint '${name}'`, () =>
        checkpointOf(run, name, start, loop as Loop),
      ) as never,
  };
}

type StepOptions = Parameters<Job['step']>[2] & { undo?: (value: unknown) => Promise<void> };
type Loop = (from: unknown, save: (next: unknown) => Promise<void>) => Promise<unknown>;

async function step(
  run: Run,
  name: string,
  act: () => Promise<unknown>,
  options: StepOptions,
): Promise<unknown> {
  const { checkpoint, signal, suspension, reporter, undo } = run;
  signal.throwIfAborted();
  refuseInsideStep(`Step '${name}'`);
  const entry = checkpoint.visit('step', name, options.formerly);
  const failure = failureOf(run, name, entry);
  if (failure) return failure();
  if (entry?.value)
    return suspension.replay(entry.order, async () => {
      const value = await keptValue(checkpoint, name, options.output);
      if (options.undo) undo?.set(name, async () => options.undo?.(value));
      return value;
    });
  if (undo) return suspension.stop();
  return suspension.during(async () => {
    const after = await situationOf(run, name);
    // From the record's `running` on, a cancel waits for this worker to undo.
    if (options.undo) await showRunning(run);
    const value = await orFail(run, 'step', name, () => asStep(name, act));
    const undoable = options.undo ? ({ undo: true } as const) : {};
    const also = { ...reporter.take(), ...(options.undo ? { undoable: true as const } : {}) };
    // Also after an abort: what was done is better kept than done again, or left as it is.
    await checkpoint.put('step', name, { value }, also, { after, ...undoable });
    signal.throwIfAborted();
    return value;
  });
}

async function checkpointOf(run: Run, name: string, start: unknown, loop: Loop): Promise<unknown> {
  const { checkpoint, signal, suspension, reporter, undo } = run;
  signal.throwIfAborted();
  refuseInsideStep(`Checkpoint '${name}'`);
  const entry = checkpoint.visit('checkpoint', name);
  const failure = failureOf(run, name, entry);
  if (failure) return failure();
  if (entry?.value) return suspension.replay(entry.order, () => checkpoint.valueOf(name));
  if (undo) return suspension.stop();
  const from = entry?.cursor
    ? await suspension.during(() => checkpoint.valueOf(name, 'cursor'))
    : start;
  const save = (next: unknown) =>
    run.calls.watch(
      `Saving '${name}'`,
      () =>
        suspension.during(async () => {
          signal.throwIfAborted();
          await checkpoint.put('checkpoint', name, { cursor: next }, reporter.take());
        }),
      { loose: true },
    );
  const value = await orFail(run, 'checkpoint', name, () => loop(from, save));
  await suspension.during(() => checkpoint.put('checkpoint', name, { value }, reporter.take()));
  return value;
}

async function showRunning({ lease }: Run): Promise<void> {
  if (lease.record.state === 'running') return;
  await lease.note((record) => record);
}

async function keptValue(
  checkpoint: Checkpoint,
  name: string,
  output: StandardSchemaV1 | undefined,
): Promise<unknown> {
  const value = await checkpoint.valueOf(name);
  if (!output) return value;
  try {
    return await validate(output, value, `What step '${name}' kept`);
  } catch (cause) {
    throw new StepChangedError((cause as Error).message, { cause });
  }
}

// Steps that run side by side come by in any order.
const patienceMs = 5_000;
const lookEveryMs = 50;

/** Where a step begins. @throws StepChangedError when another step was kept in its place */
async function situationOf({ checkpoint, app: { clock } }: Run, name: string): Promise<string> {
  const situation = checkpoint.situation;
  const until = clock.now().getTime() + patienceMs;
  for (;;) {
    const missed = checkpoint.missed(situation);
    if (missed === undefined) return situation;
    if (clock.now().getTime() >= until)
      throw new StepChangedError(`Step '${name}' stands where '${missed}' was kept`);
    await pause(clock, lookEveryMs);
  }
}

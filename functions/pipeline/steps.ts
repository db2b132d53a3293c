/** `job.step` and `job.checkpoint`: work whose outcome is kept. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Job } from '../define-job.ts';
import { StepChangedError } from '../errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { failureOf, orFail } from './failures.ts';
import { asStep, refuseInsideStep } from './on-behalf.ts';
import { pause } from './pause.ts';
import type { Run } from './run.ts';
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
  refuseInsideStep(`Step '${name}'`, run.lease.record.id);
  const entry = checkpoint.visit('step', name, options.formerly);
  const failure = failureOf(run, name, entry);
  if (failure) return failure();
  if (entry?.value)
    return suspension.replay(entry.order, async () => {
      const value = await keptValue(checkpoint, name, options.output);
      // A copy of its own: the handler may change what it is given.
      if (options.undo) undo?.set(name, async () => options.undo?.(await value()));
      return value();
    });
  if (undo) return suspension.stop();
  const order = () => checkpoint.orderOf(name);
  return suspension.during(async () => {
    const after = await situationOf(run, name);
    // From the record's `running` on, a cancel waits for this worker to undo.
    if (options.undo) await showRunning(run);
    await checkpoint.flush();
    signal.throwIfAborted();
    const undoable = options.undo ? ({ undo: true } as const) : {};
    const kept = await orFail(run, 'step', name, async () => {
      const value = await asStep(name, act);
      // Also after an abort: what was done is better kept than done again, or left as it is.
      return checkpoint.put('step', name, { value }, reporter.take(), { after, ...undoable });
    });
    signal.throwIfAborted();
    return kept;
  }, order);
}

async function checkpointOf(run: Run, name: string, start: unknown, loop: Loop): Promise<unknown> {
  const { checkpoint, signal, suspension, reporter, undo } = run;
  signal.throwIfAborted();
  refuseInsideStep(`Checkpoint '${name}'`, run.lease.record.id);
  const entry = checkpoint.visit('checkpoint', name);
  const failure = failureOf(run, name, entry);
  if (failure) return failure();
  if (entry?.value)
    return suspension.replay(entry.order, async () => (await checkpoint.valueOf(name))());
  if (undo) return suspension.stop();
  const from = entry?.cursor
    ? await suspension.during(async () => (await checkpoint.valueOf(name, 'cursor'))())
    : start;
  await checkpoint.flush();
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
  const order = () => checkpoint.orderOf(name);
  const inLoop = () => asStep(`the loop '${name}'`, () => loop(from, save));
  const value = await orFail(run, 'checkpoint', name, inLoop).catch(async (error: unknown) => {
    await suspension.inOrder(order());
    throw error;
  });
  const put = () => checkpoint.put('checkpoint', name, { value }, reporter.take());
  return suspension.during(put, order);
}

async function showRunning({ lease }: Run): Promise<void> {
  if (lease.record.state === 'running') return;
  await lease.note((record) => record);
}

async function keptValue(
  checkpoint: Checkpoint,
  name: string,
  output: StandardSchemaV1 | undefined,
): Promise<() => unknown> {
  const copy = await checkpoint.valueOf(name);
  if (!output) return copy;
  const read = async () => {
    try {
      return await validate(output, copy(), `What step '${name}' kept`);
    } catch (cause) {
      throw new StepChangedError((cause as Error).message, { cause });
    }
  };
  await read();
  return read;
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

/** `job.step` and `job.checkpoint`: work whose outcome is kept. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Job } from '../define/define-job.ts';
import { validate } from '../define/validate.ts';
import { NonRetryableError, StepChangedError } from '../errors.ts';
import { pause } from '../record/pause.ts';
import { type Checkpoint, fromText, toText } from './checkpoint.ts';
import { failureOf, orFail } from './failures.ts';
import { asStep, refuseInsideStep } from './on-behalf.ts';
import type { Run } from './run.ts';
import { never } from './suspend.ts';

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
  if (undo) return never();
  const order = () => checkpoint.orderOf(name);
  return suspension.during(async () => {
    const after = await situationOf(run, name);
    // From the record's `running` on, a cancel waits for this worker to undo.
    if (options.undo) await showRunning(run);
    await checkpoint.flush();
    signal.throwIfAborted();
    const undoable = options.undo ? ({ undo: true } as const) : {};
    checkpoint.begin(name);
    const { value, read } = await orFail(run, 'step', name, async () => {
      const whose = `The value of '${name}'`;
      const text = toText(await asStep(name, act), whose);
      const schema = options.output;
      return { value: text, read: schema && (await validate(schema, fromText(text), whose)) };
    });
    // Also after an abort: what was done is better kept than done again, or left as it is.
    const more = { after, ...undoable };
    const kept = await checkpoint.put('step', name, { value }, reporter.take(), more);
    signal.throwIfAborted();
    return options.output ? read : kept;
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
  if (undo) return never();
  let isOver = false;
  const save = (next: unknown) =>
    run.calls.watch(`Saving '${name}'`, () => saveCursor(run, name, next, () => isOver), {
      loose: true,
    });
  return suspension.during(
    async () => {
      const from = entry?.cursor ? (await checkpoint.valueOf(name, 'cursor'))() : start;
      await checkpoint.flush();
      checkpoint.begin(name);
      const value = await orFail(run, 'checkpoint', name, async () => {
        const ended = await asStep(`the loop '${name}'`, () => loop(from, save));
        return toText(ended, `The value of '${name}'`);
      }).finally(() => {
        isOver = true;
      });
      return checkpoint.put('checkpoint', name, { value }, reporter.take());
    },
    () => checkpoint.orderOf(name),
  );
}

async function saveCursor(
  { checkpoint, signal, reporter }: Run,
  name: string,
  next: unknown,
  isOver: () => boolean,
): Promise<void> {
  signal.throwIfAborted();
  if (isOver())
    throw new NonRetryableError(`The loop '${name}' has ended: it saves nothing any more.`);
  const cursor = toText(next, `What '${name}' saves`);
  await checkpoint.put('checkpoint', name, { cursor }, reporter.take());
}

async function showRunning({ lease }: Run): Promise<void> {
  if (lease.record.state === 'running') return;
  await lease.writeRunning((record) => record);
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

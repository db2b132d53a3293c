/** Job types as a test has them: their handlers watched, some of their steps and children answered. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Catalogue, Definition, Job, JobType } from '../define/define-job.ts';
import type { Handing } from './test-process.ts';

/** A step that a test answers. */
export interface GivenStep {
  attempt: number;
  /** What the step would do. */
  run(): Promise<unknown>;
}

/** A value, an Error to be thrown, or a function that makes one or the other. */
export type Given<A> = Error | ((asked: A) => unknown) | string | number | boolean | null | object;

/** By the step's name. */
export type GivenSteps = Readonly<Record<string, Given<GivenStep>>>;
/** By the child's type; a function gets its input. */
// biome-ignore lint/suspicious/noExplicitAny: the author of the test knows what the parent asks for
export type GivenChildren = Readonly<Record<string, Given<any>>>;

/** The delivery that a handler runs in. */
export const inHanding = new AsyncLocalStorage<Handing>();

async function outcome<A>(given: Given<A>, asked: A): Promise<unknown> {
  const value = typeof given === 'function' ? await given(asked) : given;
  if (value instanceof Error) throw value;
  return value;
}

/** The types with what a test gives in place of some of their code. */
export function withGiven(
  types: Catalogue,
  stepsOf: (type: string) => GivenSteps,
  children: GivenChildren,
): Catalogue {
  const known = new Map(types.map((type) => [type.type, type]));
  const answered = Object.entries(children).map(([name, given]) =>
    answeredChild(name, given, known.get(name)),
  );
  const real = types.filter(({ type }) => !Object.hasOwn(children, type));
  return [...real, ...answered].map((type) => ({
    ...type,
    definition: watched(type.definition, stepsOf(type.type)),
  }));
}

const anything: StandardSchemaV1 = {
  '~standard': { version: 1, vendor: 'longhaul', validate: (value) => ({ value }) },
};

/** Of a type that is known all but the handler stays as it is. */
function answeredChild(
  type: string,
  given: Given<unknown>,
  real: JobType | undefined,
): JobType<string, never> {
  const definition: Definition = {
    ...(real?.definition ?? { type, input: anything, attempts: 1 }),
    run: (input) => outcome(given, input as unknown),
  };
  return { type, definition, with: (input, options) => ({ type, input, options }) };
}

const watched = (definition: Definition, steps: GivenSteps): Definition => ({
  ...definition,
  async run(input, job) {
    const handing = inHanding.getStore();
    if (!handing) return definition.run(input, job);
    handing.signal = job.signal;
    return handing.during('the handler', () =>
      definition.run(input, { ...job, ...watchedSteps(job as never, handing, steps) } as never),
    );
  },
});

function watchedSteps(
  job: Job,
  handing: Handing,
  steps: GivenSteps,
): Pick<Job, 'step' | 'checkpoint'> {
  const { attempt } = job;
  const act = (name: string, run: () => Promise<unknown>) =>
    handing.during(`step '${name}'`, () =>
      Object.hasOwn(steps, name)
        ? outcome(steps[name] as Given<GivenStep>, { attempt, run })
        : run(),
    );
  const step = (name: string, run: () => Promise<unknown>, options: Undoing = {}) => {
    const { undo } = options;
    const undoing = (value: unknown) =>
      handing.during(`the undo of '${name}'`, async () => undo?.(value));
    const own = { ...options, ...(undo ? { undo: undoing } : {}) };
    return job.step(name, () => act(name, run) as Promise<never>, own as never);
  };
  const checkpoint = (name: string, start: unknown, loop: Loop) =>
    job.checkpoint(
      name,
      start,
      (from, save) => act(name, () => loop(from, save as never)) as Promise<never>,
    );
  return { step, checkpoint } as unknown as Pick<Job, 'step' | 'checkpoint'>;
}

type Undoing = { undo?: (value: unknown) => Promise<void> };
type Loop = (from: unknown, save: (next: unknown) => Promise<void>) => Promise<unknown>;

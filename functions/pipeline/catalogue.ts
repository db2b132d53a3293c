/** Job types by name, and the check that turns a bad definition into an error at start-up. */
import { Cron } from 'croner';
import type { Catalogue, Definition, Duration } from '../define-job.ts';
import { DefinitionError } from '../errors.ts';
import { toMs } from '../model/duration.ts';
import type { Lane, Topology } from '../model/topology.ts';

/** A definition with every default filled in. */
export interface Policy {
  lane: Lane;
  timeout: Duration;
  attempts: number;
  /** How many jobs of a key run at once. */
  limit: number;
  backoff: NonNullable<Definition['backoff']>;
}

export interface KnownType {
  definition: Definition;
  policy: Policy;
}

export class JobTypes {
  readonly #byName = new Map<string, KnownType>();
  readonly all: readonly KnownType[];

  /** @throws DefinitionError with every problem of every type. */
  constructor(catalogue: Catalogue, topology: Topology) {
    const problems: string[] = [];
    this.all = catalogue.flatMap(({ definition }) => {
      const known = check(definition, topology, (problem) =>
        problems.push(`${definition.type}: ${problem}`),
      );
      for (const name of [definition.type, ...(definition.formerly ?? [])]) {
        if (this.#byName.has(name)) problems.push(`${name}: two job types have this name`);
        if (known) this.#byName.set(name, known);
      }
      return known ? [known] : [];
    });
    const ids = this.all
      .flatMap(({ definition }) => definition.schedules ?? [])
      .map(({ id }) => id);
    for (const id of ids.filter((id, i) => ids.indexOf(id) !== i))
      problems.push(`schedule ${id}: two schedules have this id`);
    if (problems.length > 0) throw new DefinitionError(problems);
  }

  find(name: string): KnownType | undefined {
    return this.#byName.get(name);
  }

  get names(): string[] {
    return this.all.map(({ definition }) => definition.type);
  }
}

// Five attempts over about a minute: long enough for a restart elsewhere, short enough to be seen.
const defaults = { lane: 'standard', timeout: '5m', attempts: 5 } as const;
const defaultBackoff = { initial: '5s', factor: 2, max: '10m', jitter: true } as const;

function check(
  definition: Definition,
  topology: Topology,
  problem: (text: string) => void,
): KnownType | undefined {
  const { timeout = defaults.timeout, attempts = defaults.attempts, limit = 1 } = definition;
  const laneName = definition.lane ?? defaults.lane;
  const lane = topology.lanes.find(({ name }) => name === laneName);
  if (!/^[\w.:-]{1,100}$/.test(definition.type))
    problem('type: use letters, digits and . : _ -, 100 at most');
  if (!Number.isInteger(attempts) || attempts < 1) problem('attempts: give a whole number from 1');
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    problem('limit: give a whole number from 1 to 1000');
  if (definition.limit !== undefined && !definition.key)
    problem('limit: it counts the jobs of a key, and there is no key');
  const backoff = definition.backoff ?? defaultBackoff;
  if (typeof backoff !== 'function') {
    if ((backoff.factor ?? 2) < 1) problem('backoff.factor: below 1 the waits would shrink');
    checkDurations({ 'backoff.initial': backoff.initial, 'backoff.max': backoff.max }, problem);
  }
  checkDurations({ timeout, startBefore: definition.startBefore, keep: definition.keep }, problem);
  if (definition.keep !== undefined && definition.unique?.until !== 'expiry')
    problem("keep: only jobs that are unique until 'expiry' give their result again");
  for (const schedule of definition.schedules ?? []) checkSchedule(schedule, problem);
  if (!lane) {
    const known = topology.lanes.map(({ name }) => name).join(', ');
    problem(`lane: '${laneName}' is not in topology.json, which has ${known}`);
    return undefined;
  }
  try {
    if (toMs(timeout) > toMs(lane.maxTimeout))
      problem(`timeout: ${timeout} is more than lane ${lane.name} allows (${lane.maxTimeout})`);
  } catch {
    // Named above.
  }
  return { definition, policy: { lane, timeout, attempts, limit, backoff } };
}

function checkDurations(
  durations: Record<string, Duration | undefined>,
  problem: (text: string) => void,
): void {
  for (const [name, duration] of Object.entries(durations)) {
    try {
      if (duration !== undefined) toMs(duration);
    } catch (error) {
      problem(`${name}: ${(error as Error).message}`);
    }
  }
}

function checkSchedule(
  { id, cron, timeZone }: { id: string; cron: string; timeZone?: string },
  problem: (text: string) => void,
): void {
  try {
    const next = new Cron(cron, { timezone: timeZone ?? 'UTC', paused: true }).nextRun();
    if (!next) problem(`schedule ${id}: '${cron}' never fires`);
  } catch (error) {
    problem(`schedule ${id}: ${(error as Error).message}`);
  }
}

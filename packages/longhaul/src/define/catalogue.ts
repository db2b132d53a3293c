/** Job types by name, and the check that turns a bad definition into an error at start-up. */

import { DefinitionError } from '../errors.ts';
import { toMs } from '../model/duration.ts';
import { isTag, mostTags, tagChars } from '../model/tag.ts';
import type { Lane, Topology } from '../model/topology.ts';
import { wrongWith } from './declared-issues.ts';
import type { Catalogue, Definition, Duration } from './define-job.ts';
import { isPointer } from './redact.ts';

/** A definition with every default filled in. */
export interface Policy {
  lane: Lane;
  timeout: Duration;
  attempts: number;
  /** How many jobs of a key run at once. */
  limit: number;
  ordered: boolean;
  /** Lanes that a request may ask for by name. */
  priorities: readonly Lane[];
  keep: Duration;
  crashes: number;
  backoff: NonNullable<Definition['backoff']>;
}

export interface KnownType {
  definition: Definition;
  policy: Policy;
}

/** One of Longhaul's own, which no request may name. */
export const isOwn = (type: string): boolean => type.startsWith('longhaul.');

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

  /**
   * One that anybody may ask for. Only the end of a job makes a callback, as we sign what is in it, and
   * only an operator's call what is done on their behalf.
   */
  findOpen(name: string): KnownType | undefined {
    return isOwn(name) ? undefined : this.find(name);
  }

  get open(): KnownType[] {
    return this.all.filter(({ definition }) => this.findOpen(definition.type));
  }

  get names(): string[] {
    return this.open.map(({ definition }) => definition.type);
  }
}

// Five attempts over about a minute: long enough for a restart elsewhere, short enough to be seen.
export const defaultKeep = '7d';
export const defaultLane = 'standard';
const defaults = { lane: defaultLane, timeout: '5m', attempts: 5, crashes: 3 } as const;
const defaultBackoff = { initial: '5s', factor: 2, max: '10m', jitter: true } as const;

function check(
  definition: Definition,
  topology: Topology,
  problem: (text: string) => void,
): KnownType | undefined {
  const { timeout = defaults.timeout, attempts = defaults.attempts, limit = 1 } = definition;
  const { ordered = false, keep = defaultKeep, crashes = defaults.crashes } = definition;
  const laneName = definition.lane ?? defaults.lane;
  const lane = topology.lanes.find(({ name }) => name === laneName);
  if (!/^[\w.:-]{1,100}$/.test(definition.type))
    problem('type: use letters, digits and . : _ -, 100 at most');
  if (!Number.isInteger(attempts) || attempts < 1) problem('attempts: give a whole number from 1');
  if (!Number.isInteger(crashes) || crashes < 1) problem('crashes: give a whole number from 1');
  checkKey(definition, problem);
  const { tags = [] } = definition;
  if (typeof tags !== 'function' && !(tags.length <= mostTags && tags.every(isTag)))
    problem(`tags: give ${mostTags} at most, of ${tagChars} characters each and without commas`);
  for (const pointer of definition.redact ?? [])
    if (!isPointer(pointer))
      problem(`redact: '${pointer}' is no JSON Pointer, such as /card/number`);
  const backoff = definition.backoff ?? defaultBackoff;
  if (typeof backoff !== 'function') {
    if ((backoff.factor ?? 2) < 1) problem('backoff.factor: below 1 the waits would shrink');
    checkDurations({ 'backoff.initial': backoff.initial, 'backoff.max': backoff.max }, problem);
  }
  checkDurations({ timeout, startBefore: definition.startBefore, keep }, problem);
  for (const name of Object.keys(definition.events ?? {}))
    if (!/^[\w.:-]{1,64}$/.test(name))
      problem(
        `events: '${name}' is part of an address: use letters, digits and . : _ -, 64 at most`,
      );
  for (const schedule of definition.schedules ?? []) {
    const wrong = wrongWith(definition, schedule);
    if (wrong) problem(`schedule ${schedule.id}: ${wrong}`);
  }
  const priorities = (definition.priorities ?? []).flatMap((name) => {
    const found = topology.lanes.find((other) => other.name === name);
    if (!found) problem(unknownLane('priorities', name, topology));
    return found ?? [];
  });
  if (!lane) {
    problem(unknownLane('lane', laneName, topology));
    return undefined;
  }
  for (const { name, maxTimeout } of [lane, ...priorities])
    if (isLonger(timeout, maxTimeout))
      problem(`timeout: ${timeout} is more than lane ${name} allows (${maxTimeout})`);
  return {
    definition,
    policy: { lane, timeout, attempts, limit, ordered, priorities, keep, crashes, backoff },
  };
}

const unknownLane = (option: string, name: string, { lanes }: Topology) =>
  `${option}: '${name}' is not in topology.json, which has ${lanes.map((lane) => lane.name).join(', ')}`;

/** False for what is no duration: that is told by its own name. */
function isLonger(duration: Duration, limit: Duration): boolean {
  try {
    return toMs(duration) > toMs(limit);
  } catch {
    return false;
  }
}

function checkKey(
  { key, limit, ordered, priorities }: Definition,
  problem: (text: string) => void,
): void {
  if (limit !== undefined && (!Number.isInteger(limit) || limit < 1 || limit > 1000))
    problem('limit: give a whole number from 1 to 1000');
  if (priorities && key)
    problem('priorities: the jobs of a key stay in one lane, or two of them would run at once');
  if (ordered && (limit ?? 1) > 1)
    problem('ordered: with a limit above 1 there is no order to keep');
  if (key) return;
  if (limit !== undefined) problem('limit: it counts the jobs of a key, and there is no key');
  if (ordered)
    problem('ordered: it is the jobs of a key that keep their order, and there is no key');
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

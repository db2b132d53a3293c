/** What may befall the parts of a stack, made by chance or asked for. */
import { setTimeout as pause } from 'node:timers/promises';
import { type CrashableStack, type Part, partNames } from '../support/crashable.ts';
import { type StorageFault, storageFaults } from '../support/proxy.ts';
import { until } from '../support/until.ts';

export type Fault = {
  /** When so many of the jobs are accepted. */
  at: number;
} & (
  | { kind: 'kill'; parts: readonly Part[]; awayMs?: number }
  /** Longer than every lock. */
  | { kind: 'freeze'; parts: readonly Part[]; forMs: number }
  /** Every connection to the broker and to storage, while all parts live. */
  | { kind: 'cut'; times: number }
  /** Of a share of the requests to storage. */
  | { kind: 'storage'; faults: readonly StorageFault[]; share: number; forMs: number }
);

/** Mulberry32: the same numbers for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Wanted {
  /** Killed or frozen in every round, else by chance. */
  parts?: readonly Part[] | undefined;
  freezeMs?: number | undefined;
  awayMs?: number | undefined;
  cut: boolean;
  storage?: readonly StorageFault[] | undefined;
}

const upTo = (random: () => number, most: number) => 1 + Math.floor(random() * most);

function someParts(random: () => number): readonly Part[] {
  const found = partNames.filter(() => random() < 0.4);
  return found.length > 0 ? found : partNames;
}

const cutOf = (random: () => number, at: number): Fault => ({
  ...{ kind: 'cut', at },
  times: upTo(random, 3),
});

const storageOf = (
  random: () => number,
  at: number,
  faults: readonly StorageFault[] = storageFaults,
): Fault => ({
  ...{ kind: 'storage', at, faults },
  share: 0.1 + 0.4 * random(),
  forMs: 3_000 + Math.round(random() * 5_000),
});

/** Those of one round, in their order. */
export function faultsOf(random: () => number, jobs: number, wanted: Wanted): Fault[] {
  const { parts, freezeMs, awayMs, cut, storage } = wanted;
  const at = () => Math.ceil(random() * jobs * 0.9);
  const faults: Fault[] = [];
  if (parts || !(cut || storage)) {
    const count = freezeMs ? 1 : upTo(random, parts ? 2 : 3);
    for (let n = 0; n < count; n++) {
      const of = { at: at(), parts: parts ?? someParts(random) };
      faults.push(
        freezeMs
          ? { kind: 'freeze', forMs: freezeMs, ...of }
          : { kind: 'kill', ...of, ...(awayMs ? { awayMs } : {}) },
      );
    }
  }
  if (cut) for (let n = upTo(random, 3); n > 0; n--) faults.push(cutOf(random, at()));
  if (storage)
    for (let n = upTo(random, 2); n > 0; n--) faults.push(storageOf(random, at(), storage));
  return inOrder(faults);
}

/** About one a minute, of every kind. */
export function faultsOverTime(random: () => number, jobs: number, minutes: number): Fault[] {
  const faults = Array.from({ length: minutes }, (): Fault => {
    const at = Math.ceil(random() * jobs * 0.97);
    const chance = random();
    if (chance < 0.25) return cutOf(random, at);
    if (chance < 0.5) return storageOf(random, at);
    if (chance < 0.6)
      return { kind: 'freeze', at, parts: someParts(random).slice(0, 2), forMs: 75_000 };
    if (chance < 0.65) return { kind: 'kill', at, parts: ['broker'], awayMs: 60_000 };
    return { kind: 'kill', at, parts: someParts(random) };
  });
  return inOrder(faults);
}

const inOrder = (faults: Fault[]) => faults.sort((a, b) => a.at - b.at);

export function told(fault: Fault): string {
  switch (fault.kind) {
    case 'kill':
      return `${fault.parts.join('+')} at ${fault.at}${fault.awayMs ? ` for ${fault.awayMs / 1000} s` : ''}`;
    case 'freeze':
      return `${fault.parts.join('+')} frozen at ${fault.at} for ${fault.forMs / 1000} s`;
    case 'cut':
      return `cut at ${fault.at}, ${fault.times} times`;
    case 'storage':
      return `storage ${fault.faults.join('|')} at ${fault.at}, ${Math.round(fault.share * 100)} % for ${fault.forMs / 1000} s`;
  }
}

/** How often what is under way may be cut off. */
export const blows = (faults: readonly Fault[]) =>
  faults.reduce((sum, fault) => sum + (fault.kind === 'cut' ? fault.times : 1), 0);

export const needsProxies = (faults: readonly Fault[]) =>
  faults.some(({ kind }) => kind === 'cut' || kind === 'storage');

/** Parts go one after the other; cuts and a failing storage meet whatever else is under way. */
export async function meet(
  stack: CrashableStack,
  faults: readonly Fault[],
  accepted: () => number,
): Promise<void> {
  const reached = (at: number) => until(`${at} accepted`, () => accepted() >= at, patienceMs);
  let before: Promise<unknown> = Promise.resolve();
  const all = faults.map(async (fault) => {
    if (fault.kind === 'cut' || fault.kind === 'storage') {
      await reached(fault.at);
      return befall(stack, fault);
    }
    before = before.then(() => reached(fault.at)).then(() => befall(stack, fault));
    return before;
  });
  await Promise.all(all);
}

// An hour's load, and what it is late by.
const patienceMs = 2 * 60 * 60_000;
const betweenCutsMs = 700;

async function befall(stack: CrashableStack, fault: Fault): Promise<void> {
  switch (fault.kind) {
    case 'kill':
      return stack.crash(fault.parts, fault.awayMs);
    case 'freeze':
      return stack.freeze(fault.parts, fault.forMs);
    case 'cut':
      for (let n = 0; n < fault.times; n++) {
        stack.cut();
        await pause(betweenCutsMs);
      }
      return;
    case 'storage':
      stack.failStorage(fault.faults, fault.share);
      await pause(fault.forMs);
      return stack.healStorage();
  }
}

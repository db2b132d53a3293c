/**
 * The pipeline on ports in memory, in a world where any call to storage or bus may be the last of its
 * worker, may fail or be slow, where locks get lost and clocks differ, where time flies, and where
 * people cancel, retry and send events at the worst moment.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { SessionAllocator } from '#longhaul/admit/key.js';
import { JobTypes } from '#longhaul/define/catalogue.js';
import type { Catalogue } from '#longhaul/define/define-job.js';
import { ConflictError, LockLostError } from '#longhaul/errors.js';
import { idOfOccurrence } from '#longhaul/model/id.js';
import { hasEnded, type JobRecord } from '#longhaul/model/job-record.js';
import { fromMessage } from '#longhaul/model/message.js';
import type { Clock } from '#longhaul/ports.js';
import { removeExpired } from '#longhaul/record/expiry.js';
import type { Working } from '#longhaul/run/attempt.js';
import { watchDeadLetters, watchDeadSignals } from '#longhaul/run/dead-letters.js';
import { execute } from '#longhaul/run/execute.js';
import { handleCompletions } from '#longhaul/run/signals.js';
import { tick } from '#longhaul/schedules/tick.js';
import { Bus, type Lying, toDelivery, toIncoming } from '#longhaul/testing/bus.js';
import { ScheduleStore } from '#longhaul/testing/schedules.js';
import type { Call } from '#longhaul/testing/stores.js';
import { createWorking } from '#longhaul/testing/working.js';
import { JudgedStores } from './judged-stores.ts';

/** What happens at one call of a worker to the outside. */
export type Trouble =
  | 'none'
  | 'dies before'
  | 'dies after'
  /** What it held comes back hours later. */
  | 'dies for hours'
  | 'loses its lock'
  /** The write is done, and its second try finds another version. */
  | 'answer lost'
  | 'fails before'
  | 'fails after'
  | 'slow'
  | 'hours pass'
  | 'somebody acts'
  /** Another worker takes something else and does it to the end. */
  | 'another works';

const completions = 'completions';
const lanes = [
  { name: 'standard', plain: 'standard', keyed: 'standard-keyed', maxTimeout: '10m' as const },
  { name: 'bulk', plain: 'bulk', keyed: 'bulk-keyed', maxTimeout: '10m' as const },
];
const topology = { lanes, completions, replies: ['replies'], inbox: 'inbox', queues: [] };

const isStored = (result: unknown): boolean =>
  typeof result === 'object' && result !== null && 'etag' in result && 'written' in result;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
// Later than it should: some due times have passed, and their jobs run at once.
const lookEveryMs = 40_000;

interface Hands {
  dead: boolean;
  forHours?: boolean;
  held: Lying[];
  /** By how much its clock differs. */
  skewMs: number;
}

/** The delivery that a handler runs in: what was so when it began. */
interface Began {
  wasOver: boolean;
  /** It had not started, and its parent had failed or was cancelled. */
  isOrphan: boolean;
  /** A lock was lost, and for two seconds two workers may have the job. */
  isShared: boolean;
}

/** What was so when the delivery began in which a handler runs; one for all worlds, as each slows Node down. */
export const began = new AsyncLocalStorage<Began>();

export class World {
  now = Date.parse('2026-11-21T12:00:00Z');
  readonly bus = new Bus(() => this.now, topology.replies);
  readonly stores = new JudgedStores();
  readonly schedules = new ScheduleStore();
  /** What people do, one after the other, whenever the world says `somebody acts`. */
  readonly actions: (() => Promise<unknown>)[] = [];
  readonly logged: string[] = [];
  readonly #timers = new Set<{ at: number; run: () => void }>();
  readonly #types: JobTypes;
  readonly #trouble: () => Trouble;
  readonly #skewMs: () => number;
  #having: (Began & { id: string; one: Lying })[] = [];
  #made = 0;
  #depth = 0;

  /** `skewMs`: by how much the next worker's clock differs. */
  constructor(
    catalogue: Catalogue,
    trouble: () => Trouble = () => 'none',
    skewMs: () => number = () => 0,
  ) {
    this.#types = new JobTypes(catalogue, topology);
    this.#trouble = trouble;
    this.#skewMs = skewMs;
  }

  get ends(): Map<string, number> {
    return this.stores.ends;
  }

  get violations(): string[] {
    return this.stores.violations;
  }

  get records(): JobRecord[] {
    return [...this.stores.records.values()].map(({ record }) => record);
  }

  record(id: string): JobRecord | undefined {
    return this.stores.records.get(id)?.record;
  }

  /** Changes a record behind everybody's back. */
  change(record: JobRecord): void {
    this.stores.put(record);
  }

  /** An app's pipeline. Without `hands` nothing happens to it. */
  app(hands?: Hands): Working {
    const call: Call = async (act) => {
      await Promise.resolve();
      return hands ? this.#called(hands, act) : act();
    };
    const clock: Clock = {
      now: () => new Date(this.now + (hands?.skewMs ?? 0)),
      after: (ms, run) => {
        const timer = { at: this.now + ms, run };
        this.#timers.add(timer);
        return () => this.#timers.delete(timer);
      },
    };
    return createWorking(this, () => call, {
      types: this.#types,
      topology,
      clock,
      log: (_, message) => void this.logged.push(message),
      newId: (at) => idOfOccurrence(`job ${++this.#made}`, at),
      slots: new SessionAllocator(() => 0.5),
      newOwner: () => `owner ${++this.#made}`,
      random: () => 0.5,
    });
  }

  /** Until nothing lies in a queue, with the letters looked at. @throws when that does not come about */
  async run(choose: (count: number) => number): Promise<void> {
    for (let rounds = 0; rounds < 20; rounds++) {
      await this.#untilStill(choose);
      if ((await this.watchLetters()) === 0) return;
    }
    throw new Error('Dead letters do not come to an end.');
  }

  async #untilStill(choose: (count: number) => number): Promise<void> {
    for (let turns = 0, idle = 0; turns < 3000; turns++) {
      if (await this.#step(choose)) continue;
      // Whoever was nested in the work of one that died goes on alone.
      if (this.bus.hasLocked && ((await this.#passTime()) || idle++ < 100)) continue;
      idle = 0;
      const next = this.bus.nextVisibleAt();
      if (next === undefined) return;
      this.now = next;
    }
    throw new Error('It does not come to rest.');
  }

  /** The look at what the broker gave up on; answers how many jobs it changed. */
  async watchLetters(): Promise<number> {
    const app = this.app();
    let taken = 0;
    for (const queue of lanes.flatMap(({ plain, keyed }) => [plain, keyed]))
      taken += await watchDeadLetters(app, queue);
    return taken + (await watchDeadSignals(app));
  }

  /** The janitor, who may die as well. */
  async removeExpired(safely = false): Promise<void> {
    const hands = safely ? undefined : this.#newHands();
    const work = removeExpired(this.app(hands)).then(() => undefined);
    if (hands) await this.#untilDone(work, hands);
    else await work;
  }

  /** Somebody's call of the API, by a process that may die of it: undefined then. */
  async attempt<T>(act: (app: Working) => Promise<T>): Promise<T | undefined> {
    const hands = this.#newHands();
    let answer: T | undefined;
    await this.#untilDone(
      act(this.app(hands)).then((value) => {
        answer = value;
      }),
      hands,
    );
    return hands.dead ? undefined : answer;
  }

  /** Lives on with a scheduler that may die as it looks. */
  async runWithScheduler(until: number, choose: (count: number) => number): Promise<void> {
    for (let next = this.now; this.now < until; ) {
      if (await this.#step(choose)) continue;
      const visible = this.bus.nextVisibleAt() ?? Number.POSITIVE_INFINITY;
      if (next > visible) {
        this.now = visible;
        continue;
      }
      this.now = Math.max(this.now, next);
      next = this.now + lookEveryMs;
      // A look at nothing is no place to die.
      if (this.schedules.nextWakeAt <= next) await this.#look();
    }
  }

  #newHands(held: Lying[] = []): Hands {
    return { dead: false, held, skewMs: this.#skewMs() };
  }

  async #look(): Promise<void> {
    const hands = this.#newHands();
    await this.#untilDone(
      tick(this.app(hands)).then(() => undefined),
      hands,
    );
  }

  async #step(choose: (count: number) => number): Promise<boolean> {
    const ready = this.bus.ready(completions);
    const taken = ready[choose(ready.length)] ?? ready[0];
    if (!taken) return false;
    await this.#deliver(taken);
    return true;
  }

  async #deliver(taken: Lying[]): Promise<void> {
    const hands = this.#newHands(taken);
    for (const one of taken) one.locked = true;
    const [first] = taken;
    const work = first?.message.queue === completions ? this.#news(hands) : this.#job(hands);
    await this.#untilDone(work, hands);
    const at = this.#having.findLastIndex(({ one }) => one === first);
    if (at >= 0) this.#having.splice(at, 1);
    // What it left unsettled comes back.
    for (const one of hands.held) {
      this.bus.giveBack(one);
      if (hands.forHours) one.visibleAt = this.now + 5 * hourMs;
    }
  }

  async #news(hands: Hands): Promise<void> {
    const taken = [...hands.held];
    await handleCompletions(this.app(hands), taken.map(toIncoming));
    for (const one of hands.held) this.bus.remove(one);
    hands.held = [];
  }

  #job(hands: Hands): Promise<void> {
    const [one] = hands.held;
    if (!one) return Promise.resolve();
    const settle = (how: () => void) =>
      this.#called(hands, () => {
        if (!hands.held.includes(one)) throw new Error('The lock is lost.');
        how();
        hands.held = [];
      });
    // As the trigger does: whatever fails there says that the session is lost.
    const inSession = <T>(act: () => T) =>
      this.#called(hands, () => {
        if (!hands.held.includes(one)) throw new Error('The session is lost.');
        return act();
      }).catch((error: unknown) => {
        throw new LockLostError(one.message.messageId, error);
      });
    const deliveredAt = this.now;
    // It comes back when this worker is done with it.
    const abandon = async () => {
      if (this.now - deliveredAt < 1_000)
        this.violations.push(`${one.message.messageId} was handed back at once`);
    };
    return this.#begun(one, () =>
      execute(this.app(hands), toDelivery(this.bus, one, { settle, inSession, abandon })),
    );
  }

  /** Runs it, known as one of those that have the job now. */
  #begun(one: Lying, run: () => Promise<void>): Promise<void> {
    const { id } = fromMessage(toIncoming(one));
    const others = this.#having.filter((other) => other.id === id);
    const mine = { ...this.#whatIsSo(one), id, one, isShared: others.length > 0 };
    for (const other of others) other.isShared = true;
    this.#having.push(mine);
    return began.run(mine, run);
  }

  #whatIsSo(one: Lying): Omit<Began, 'isShared'> {
    const { id, parent, turn } = fromMessage(toIncoming(one));
    const { state, startedAt } = this.record(id) ?? {};
    const above = parent === undefined ? undefined : this.record(parent)?.state;
    return {
      wasOver: (state !== undefined && hasEnded(state)) || this.stores.tombstones.has(id),
      isOrphan: turn === 1 && !startedAt && (above === 'failed' || above === 'cancelled'),
    };
  }

  /** Lets time pass for a worker that waits for it; a dead one is not waited for. */
  async #untilDone(work: Promise<void>, hands: Hands): Promise<void> {
    let done = false;
    const settled = work.then(
      () => {
        done = true;
      },
      () => {
        done = true;
      },
    );
    for (let idle = 0; !done && !hands.dead; idle++) {
      await this.#passTime(() => done || hands.dead);
      if (idle > 2000) throw new Error('A worker does not come to an end.');
    }
    if (!hands.dead) await settled;
  }

  /** Lets what is under way go on, then the next timer ring; false when there is none. */
  async #passTime(isOver = () => false): Promise<boolean> {
    for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
    const next = [...this.#timers].sort((a, b) => a.at - b.at)[0];
    if (isOver() || !next) return false;
    this.#timers.delete(next);
    this.now = Math.max(this.now, next.at);
    next.run();
    return true;
  }

  /** One call of a worker to the outside. */
  async #called<T>(hands: Hands, act: () => T): Promise<T> {
    if (hands.dead) return new Promise<never>(() => undefined);
    const trouble = this.#trouble();
    if (trouble === 'dies before') return this.#die(hands);
    if (trouble === 'fails before') throw new Error('ECONNRESET before');
    if (trouble === 'slow') this.now += 3 * minuteMs;
    if (trouble === 'hours pass') this.now += 5 * hourMs;
    if (this.#depth < 2) await this.#meanwhile(trouble, hands);
    const result = act();
    if (trouble === 'dies after') return this.#die(hands);
    if (trouble === 'dies for hours') return this.#die(hands, true);
    if (trouble === 'fails after') throw new Error('ECONNRESET after');
    if (trouble === 'answer lost' && isStored(result)) throw new ConflictError('x');
    return result;
  }

  /** What others do while this worker stands still. */
  async #meanwhile(trouble: Trouble, hands: Hands): Promise<void> {
    if (trouble === 'somebody acts') {
      await this.#nested(async () => this.actions.shift()?.());
      // So that it is heard before this worker goes on.
      await this.#nested(() => this.#step(() => 0));
    }
    if (trouble === 'another works') await this.#nested(() => this.#step(() => 0));
    if (trouble === 'loses its lock' && hands.held.length > 0) {
      const lost = hands.held;
      hands.held = [];
      await this.#nested(() => this.#deliver(lost));
    }
  }

  #die(hands: Hands, forHours = false): Promise<never> {
    hands.dead = true;
    hands.forHours = forHours;
    return new Promise<never>(() => undefined);
  }

  async #nested(act: () => Promise<unknown>): Promise<void> {
    this.#depth++;
    await act();
    this.#depth--;
  }
}

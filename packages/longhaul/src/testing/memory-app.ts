/**
 * An app in memory: the pipeline of production on ports in memory, on a clock that the test moves.
 *
 * Nothing happens by itself. What is called here lets the app work until it comes to rest: until no
 * message can be taken, no handler is under way, and whatever is left waits for the clock.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { SessionAllocator } from '../admit/key.ts';
import { JobTypes } from '../define/catalogue.ts';
import type { Catalogue } from '../define/define-job.ts';
import { LockLostError } from '../errors.ts';
import { createIdMaker } from '../model/id.ts';
import type { JobRecord } from '../model/job-record.ts';
import { fromMessage } from '../model/message.ts';
import type { Topology } from '../model/topology.ts';
import type { Working } from '../run/attempt.ts';
import { watchDeadLetters, watchDeadSignals } from '../run/dead-letters.ts';
import { execute } from '../run/execute.ts';
import { handleCompletions } from '../run/signals.ts';
import { tickMs } from '../schedules/apply.ts';
import { tick } from '../schedules/tick.ts';
import { Activity } from './activity.ts';
import { Bus, type Lying, toDelivery, toIncoming } from './bus.ts';
import { inHanding } from './given.ts';
import { ScheduleStore } from './schedules.ts';
import { Stores } from './stores.ts';
import { TestClock } from './test-clock.ts';
import { Deaths, Handing, TestProcess } from './test-process.ts';
import { createWorking } from './working.ts';

export interface Line {
  level: 'info' | 'warn' | 'error';
  message: string;
  job: string | undefined;
}

export interface MemoryAppOptions {
  now: Date;
  /** How long one run of a handler may take in real time. */
  patienceMs: number;
  /** Past so many without time being skipped, jobs go round in circles. */
  mostHandOvers: number;
  /** Whether declared schedules start jobs. */
  schedules: boolean;
  deaths: Deaths;
}

interface Worker {
  process: TestProcess;
  working: Working;
  stop(): void;
}

// So long a worker that is to die may do without a call; then it dies where it is.
const doomedMs = 1_000;
// The pipeline gives a handler as long to heed its signal.
const abortedMs = 2_000;

export class MemoryApp {
  readonly clock: TestClock;
  readonly bus: Bus;
  readonly stores = new Stores();
  readonly schedules = new ScheduleStore();
  readonly lines: Line[] = [];
  /** Calls of the API, by a process that does not die. */
  readonly api: Working;
  readonly #types: JobTypes;
  readonly #topology: Topology;
  readonly #options: MemoryAppOptions;
  readonly #activity = new Activity();
  readonly #handings = new Set<Handing>();
  readonly #newId = createIdMaker(randomBytes);
  #worker: Worker;
  #lettersSeen = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** Calls that let the app work come one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(types: Catalogue, topology: Topology, options: MemoryAppOptions) {
    this.#types = new JobTypes(types, topology);
    this.#topology = topology;
    this.#options = options;
    this.clock = new TestClock(options.now, () => this.#activity.stir());
    this.bus = new Bus(() => this.clock.now, topology.replies);
    this.api = this.#newWorker(new Deaths()).working;
    this.#worker = this.#newWorker(options.deaths);
  }

  /** Those that handlers are under way in. */
  get atWork(): Handing[] {
    return [...this.#handings].filter(({ isAtWork }) => isAtWork);
  }

  /** One call after the other, in the order in which they came. */
  inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(act, act);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** The worker dies: at its next call to the outside, or now if it has nothing in hand. */
  crash(): void {
    if (this.#handings.size === 0) this.#worker.process.die();
    else this.#worker.process.isDoomed = true;
    this.#activity.move();
  }

  /** Until it comes to rest, or until `enough`. @throws when it does not */
  async rest(enough: () => boolean = () => false, past = new Set<Handing>()): Promise<void> {
    const { mostHandOvers } = this.#options;
    for (let handOvers = 0; handOvers < mostHandOvers; ) {
      handOvers += this.#takeReady();
      const isQuiet = await this.#activity.pause();
      if (enough()) return;
      if (this.#isReady() || (await this.#lookAtLetters())) continue;
      const busy = this.atWork.filter((one) => !past.has(one) || isStopping(one));
      const { isDoomed } = this.#worker.process;
      if (busy.length > 0 || isDoomed) await this.#await(busy, isDoomed);
      else if (isQuiet) return;
    }
    throw new Error(
      `The app does not come to rest: its jobs were handed over ${mostHandOvers} times without the clock being moved.`,
    );
  }

  record(id: string): JobRecord | undefined {
    return this.stores.records.get(id)?.record;
  }

  get records(): JobRecord[] {
    return [...this.stores.records.values()].map(({ record }) => record);
  }

  /** Lets that much time pass, and all that comes due meanwhile happen in its order, or until `enough`. */
  async skip(ms: number, enough: () => boolean = () => false): Promise<void> {
    // Of these the test knows that they run: it means them to run meanwhile.
    const past = new Set(this.atWork.filter(({ wasSeen }) => wasSeen));
    const rest = () => this.rest(enough, past);
    await this.#tickIfDue();
    await rest();
    const target = this.clock.now + ms;
    for (let next = this.#nextDue(); next <= target && !enough(); next = this.#nextDue()) {
      this.clock.moveTo(next);
      await this.#tickIfDue();
      await rest();
    }
    if (enough()) return;
    this.clock.moveTo(target);
    await rest();
  }

  #newWorker(deaths: Deaths): Worker {
    const clock = this.clock.ofProcess();
    const process = new TestProcess(
      deaths,
      () => this.#activity.stir(),
      () => this.#died(process),
    );
    const working = createWorking(this, (port) => process.callOf(port), {
      types: this.#types,
      topology: this.#topology,
      clock,
      log: (level, message, { job } = {}) => void this.lines.push({ level, message, job }),
      newId: this.#newId,
      slots: new SessionAllocator(() => 0.5),
      newOwner: () => randomUUID(),
      random: () => 0.5,
    });
    return { process, working, stop: clock.stop };
  }

  /** What it had in hand is there for the next. */
  #died(process: TestProcess): void {
    this.#worker.stop();
    for (const handing of this.#handings)
      if (handing.process === process) {
        for (const one of handing.held) this.bus.giveBack(one);
        this.#handings.delete(handing);
      }
    this.#worker = this.#newWorker(this.#options.deaths);
    this.#activity.move();
  }

  #isReady(): boolean {
    return this.bus.ready(this.#topology.completions).length > 0;
  }

  /** Hands over all that can be taken; answers how many. */
  #takeReady(): number {
    const ready = this.bus.ready(this.#topology.completions);
    for (const taken of ready) this.#handOver(taken);
    return ready.length;
  }

  #handOver(taken: Lying[]): void {
    const [first] = taken;
    if (!first) return;
    for (const one of taken) one.locked = true;
    const isNews = first.message.queue === this.#topology.completions;
    const job = isNews ? undefined : fromMessage(toIncoming(first)).id;
    const { process, working } = this.#worker;
    const handing = new Handing(process, taken, job, () => this.#activity.move());
    this.#handings.add(handing);
    const work = () =>
      isNews ? this.#takeNews(working, handing) : this.#execute(working, handing, first);
    const end = () => {
      if (process.isDead) return;
      for (const one of handing.held) this.bus.giveBack(one);
      this.#handings.delete(handing);
      this.#activity.move();
    };
    const fail = (error: unknown) =>
      void this.lines.push({ level: 'error', message: String(error), job });
    void inHanding.run(handing, work).catch(fail).then(end);
  }

  async #takeNews(working: Working, handing: Handing): Promise<void> {
    await handleCompletions(working, handing.held.map(toIncoming));
    for (const one of handing.held) this.bus.remove(one);
    handing.held = [];
  }

  #execute(working: Working, handing: Handing, one: Lying): Promise<void> {
    const call = handing.process.callOf('delivery');
    const settle = (how: () => void) =>
      call(() => {
        handing.held = [];
        how();
      });
    const inSession = <T>(act: () => T) =>
      call(act).catch((error: unknown) => {
        throw new LockLostError(one.message.messageId, error);
      });
    const abandon = () => settle(() => this.bus.giveBack(one));
    return execute(working, toDelivery(this.bus, one, { settle, inSession, abandon }));
  }

  /** What the broker gave up on since the last look. Answers whether there was any. */
  async #lookAtLetters(): Promise<boolean> {
    const { deadLettered } = this.bus;
    if (deadLettered === this.#lettersSeen) return false;
    this.#lettersSeen = deadLettered;
    for (const { plain, keyed } of this.#topology.lanes)
      for (const queue of [plain, keyed]) await watchDeadLetters(this.api, queue);
    await watchDeadSignals(this.api);
    return true;
  }

  async #tickIfDue(): Promise<void> {
    if (this.#nextLook() > this.clock.now) return;
    this.#lookedAt = this.clock.now;
    await tick(this.api);
  }

  /** Once at the start, then when one is due; as often as production at most. */
  #nextLook(): number {
    if (!this.#options.schedules) return Number.POSITIVE_INFINITY;
    if (this.#lookedAt === Number.NEGATIVE_INFINITY) return this.clock.now;
    return this.schedules.nextWakeAt > this.#lookedAt
      ? this.schedules.nextWakeAt
      : this.#lookedAt + tickMs;
  }

  #nextDue(): number {
    const never = Number.POSITIVE_INFINITY;
    const due = [this.clock.next, this.bus.nextVisibleAt(), this.#nextLook()];
    return Math.min(...due.map((at) => at ?? never));
  }

  /** Real time passes, until something of the author's code begins or ends. */
  async #await(busy: readonly Handing[], isDoomed: boolean): Promise<void> {
    const { patienceMs } = this.#options;
    const now = performance.now();
    for (const one of busy) if (isStopping(one)) one.stoppingSince ??= now;
    const isHeeding = busy.some((one) => one.stoppingSince !== undefined);
    const leftMs = Math.min(...busy.map(({ since }) => since + patienceMs - now));
    const ms = isDoomed ? doomedMs : isHeeding ? abortedMs : leftMs;
    if (ms > 0 && (await this.#activity.within(ms))) return;
    const error = isDoomed || isHeeding ? undefined : stuck(busy, patienceMs);
    // Given up: whatever it does next, the test is not held up by it.
    if (isDoomed || error) this.#worker.process.die();
    if (error) throw error;
  }
}

/** It was told to stop, and has had no time yet to heed that. */
const isStopping = ({ signal, stoppingSince }: Handing): boolean =>
  signal?.aborted === true &&
  (stoppingSince === undefined || performance.now() - stoppingSince < abortedMs);

function stuck(busy: readonly Handing[], patienceMs: number): Error {
  const what = busy.map(
    ({ job, open }) => `Job ${job} (${[...open].map((one) => one.what).join(', ')})`,
  );
  return new Error(
    `${what.join(' and ')} did not come to an end in ${patienceMs / 1000} s of real time: what is awaited there? If it is to run into its timeout, call run.until('running') and then run.skip; if it is slow, give a longer \`patience\`.`,
  );
}

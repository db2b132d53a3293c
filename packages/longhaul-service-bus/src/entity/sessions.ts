/** The sessions of one queue: who holds which, who waits for the next, what state they have. */
import { tell } from '../guarded.ts';
import type { EntityJournal } from '../store/journal.ts';
import type { BrokerClock } from '../time.ts';
import type { Ascending } from './ascending.ts';
import { Deadlines } from './deadlines.ts';
import { ServiceBusFault, sessionLockLost } from './errors.ts';
import { lockFor } from './locks.ts';
import type { Message } from './message.ts';
import { type Claim, Session, type SessionHolder, type SessionLock } from './session.ts';
import type { QueueSettings } from './settings.ts';

export interface SessionWaiter extends SessionHolder {
  granted(session: Session): void;
}

/** What the sessions ask of their queue. */
export interface SessionsOf {
  readonly settings: Pick<QueueSettings, 'lockMs'>;
  newIndex(): Ascending;
  hasReady(session: Session): boolean;
  /** A message that its receiver left unsettled; it counts if the lock just ended. */
  giveBack(message: Message, how: { counts: boolean }): void;
}

export class Sessions {
  readonly #all = new Map<string, Session>();
  /** With something ready and no receiver: first come, first served, so that none starves. */
  readonly #free = new Set<Session>();
  readonly #waiters = new Set<SessionWaiter>();
  readonly #lockEnds: Deadlines<{ session: Session; lock: SessionLock }>;
  readonly #clock: BrokerClock;
  readonly #journal: EntityJournal;
  readonly #queue: SessionsOf;

  constructor(clock: BrokerClock, journal: EntityJournal, queue: SessionsOf) {
    this.#clock = clock;
    this.#journal = journal;
    this.#queue = queue;
    this.#lockEnds = new Deadlines(clock, {
      now: () => clock.elapsed(),
      due: ({ session, lock }, now) => this.#lockEnded(session, lock, now),
      isOver: ({ session, lock }) => session.lock !== lock,
      failed: (_, fault) => tell('The end of a session lock failed')(fault),
    });
  }

  /** The session of that name, made when it is first spoken of. */
  get(id: string): Session {
    let session = this.#all.get(id);
    if (!session) {
      session = new Session(id, this.#queue.newIndex());
      this.#all.set(id, session);
    }
    return session;
  }

  find(id: string): Session | undefined {
    return this.#all.get(id);
  }

  /** Something of the session may be ready: tells its holder, or who waits. */
  offer(session: Session): void {
    if (session.lock) session.lock.holder.ready();
    else if (this.#queue.hasReady(session)) this.#free.add(session);
  }

  /** Waits in line for the next free session, or takes it at once. */
  acceptNext(waiter: SessionWaiter): void {
    this.#waiters.add(waiter);
    this.match();
  }

  stopWaiting(waiter: SessionWaiter): void {
    this.#waiters.delete(waiter);
  }

  /** Gives free sessions to who waits. */
  match(): void {
    while (this.#free.size > 0 && this.#waiters.size > 0) {
      const [session] = this.#free;
      const [waiter] = this.#waiters;
      if (!session || !waiter) return;
      this.#free.delete(session);
      if (!this.#queue.hasReady(session)) continue;
      this.#waiters.delete(waiter);
      this.#grant(session, waiter);
      waiter.granted(session);
    }
  }

  /** @throws ServiceBusFault when another receiver has it */
  accept(id: string, holder: SessionHolder): Session {
    const session = this.get(id);
    if (session.lock)
      throw new ServiceBusFault(
        'com.microsoft:session-cannot-be-locked',
        `The requested session '${id}' cannot be accepted. It may be locked by another receiver.`,
      );
    this.#grant(session, holder);
    return session;
  }

  #grant(session: Session, holder: SessionHolder): void {
    this.#free.delete(session);
    const lock = session.grant(holder, lockFor(this.#clock, this.#queue.settings.lockMs));
    this.#lockEnds.add(lock.ends, { session, lock });
  }

  /** @throws ServiceBusFault when nobody has it, or another one than who claims it */
  heldBy(id: string, claim: Claim): Session {
    const session = this.#all.get(id);
    if (!session?.lock || !claim(session.lock.holder)) throw sessionLockLost(id);
    return session;
  }

  /** Answers until when the lock holds now. @throws ServiceBusFault */
  renew(id: string, claim: Claim): number {
    const { lock } = this.heldBy(id, claim);
    const times = lockFor(this.#clock, this.#queue.settings.lockMs);
    if (lock) Object.assign(lock, times);
    return times.until;
  }

  /** @throws ServiceBusFault */
  setState(id: string, claim: Claim, state: Buffer | undefined): void {
    this.keepState(this.heldBy(id, claim), state);
    this.#journal.putSessionState(id, state);
  }

  /** As it was set, or found on the disk. */
  keepState(session: Session, state: Buffer | undefined): void {
    session.state = state;
    session.stateAt = this.#clock.now();
  }

  /**
   * Some of the sessions with messages or a state, in the order in which they were first spoken of;
   * with a time only those whose state was set after it.
   */
  list(skip: number, top: number, since?: number): string[] {
    const ids: string[] = [];
    let passed = 0;
    for (const { id, sequences, state, stateAt } of this.#all.values()) {
      if (state === undefined && (sequences.size === 0 || since !== undefined)) continue;
      if (since !== undefined && stateAt <= since) continue;
      if (passed++ >= skip) ids.push(id);
      if (ids.length === top) break;
    }
    return ids;
  }

  /**
   * The holder is done: its unsettled messages are ready again, in order. A delivery counts when the
   * lock ended, not when the session was closed (Learn: message sessions, impact of delivery count).
   */
  release(session: Session, holder: SessionHolder, { counts = false } = {}): void {
    if (session.lock?.holder !== holder) return;
    session.lock = undefined;
    for (const message of [...session.locked]) this.#queue.giveBack(message, { counts });
    this.offer(session);
    this.forgetIfDone(session);
    this.match();
  }

  #lockEnded(session: Session, lock: SessionLock, now: number): number | undefined {
    if (session.lock !== lock) return undefined;
    if (lock.ends > now) return lock.ends;
    this.release(session, lock.holder, { counts: true });
    lock.holder.lost();
    return undefined;
  }

  forgetIfDone(session: Session): void {
    if (!session.isForgettable) return;
    this.#all.delete(session.id);
    this.#free.delete(session);
  }

  /** Ends all there is: the entity is no more, or gives nothing out. */
  end(fault: ServiceBusFault): void {
    for (const waiter of [...this.#waiters]) {
      this.#waiters.delete(waiter);
      waiter.lost(fault);
    }
    for (const session of [...this.#all.values()]) {
      const { lock } = session;
      if (!lock) continue;
      this.release(session, lock.holder);
      lock.holder.lost(fault);
    }
  }

  /** Those with a state, for who removes the queue. */
  *withState(): Generator<string> {
    for (const { id, state } of this.#all.values()) if (state !== undefined) yield id;
  }

  close(): void {
    this.#lockEnds.close();
  }
}

/** The links of one connection: who asked for what, and which of the four kinds of node answers. */
import type { EventContext, Message, Receiver, Sender, Session } from 'rhea';
import { type Address, parseAddress } from '../address.ts';
import { ServiceBusFault } from '../entity/errors.ts';
import type { Linked, Queue } from '../entity/queue.ts';
import type { SessionHolder } from '../entity/session.ts';
import type { Guard } from '../guarded.ts';
import type { Namespace } from '../namespace.ts';
import type { BrokerClock } from '../time.ts';
import { Coordinator } from './coordinator.ts';
import { refuse, toAmqpError } from './faults.ts';
import { receiveFromClient } from './incoming.ts';
import { answerManagement } from './management.ts';
import { OutgoingLink } from './outgoing.ts';
import { type Answer, answerRequests, ReplyLink } from './request-response.ts';
import {
  attachOf,
  coordinatorOf,
  type ReceiverInternals,
  type SenderInternals,
} from './rhea-internals.ts';
import type { Grants } from './tokens.ts';
import { int, string } from './types.ts';

export interface LinksOptions {
  namespace: Namespace;
  grants: Grants;
  mostBytes: number;
  clock: BrokerClock;
  guard: Guard;
}

/** A link that is open, for who has to end it. */
interface OpenLink extends Linked {
  path: string;
  session: Session;
  /** What was taken by it is given back. */
  leave(): void;
}

type Link = Sender | Receiver;

export class ConnectionLinks {
  readonly #options: LinksOptions;
  readonly #open = new Map<Link, OpenLink>();
  readonly #outgoing = new Map<Sender, OutgoingLink>();
  readonly #replies = new Map<Sender, ReplyLink>();
  readonly #coordinator: Coordinator;
  #cancelWatch: (() => void) | undefined;

  constructor(options: LinksOptions) {
    this.#options = options;
    this.#coordinator = new Coordinator(options);
  }

  /** A link on which the client sends: to a queue, to `$cbs` or to a queue's `$management`. */
  clientSends({ receiver, connection }: EventContext): void {
    if (!receiver) return;
    const link = receiver as unknown as ReceiverInternals;
    try {
      if (coordinatorOf(receiver)) {
        echo(link);
        this.#note(receiver);
        this.#coordinator.serve(receiver);
        return;
      }
      const target = attachOf(receiver).target?.address;
      if (typeof target !== 'string') throw noAnonymousTerminus();
      echo(link);
      const address = parseAddress(target);
      link.local.attach['max_message_size'] = this.#options.mostBytes;
      if (isTokens(address)) this.#takeTokens(receiver);
      else {
        const queue = this.#find(address, connection);
        if (address.isManagement) this.#manage(receiver, address, queue);
        else this.#receive(receiver, address, queue, connection);
      }
    } catch (fault) {
      refuse(link, fault);
    }
  }

  /** A link on which the client receives: messages of a queue, or answers to its requests. */
  clientReceives({ sender, connection }: EventContext): void {
    if (!sender) return;
    const link = sender as unknown as SenderInternals;
    try {
      const source = attachOf(sender).source?.address;
      if (typeof source !== 'string') throw noAnonymousTerminus();
      echo(link);
      const address = parseAddress(source);
      if (isTokens(address)) this.#reply(sender);
      else {
        const queue = this.#find(address, connection);
        if (address.isManagement) this.#reply(sender, address, queue);
        else this.#send(sender, address, queue);
      }
    } catch (fault) {
      refuse(link, fault);
    }
  }

  // --- kinds of links ---------------------------------------------------------------------------

  #takeTokens(receiver: Receiver): void {
    const { mostBytes, guard } = this.#options;
    this.#note(receiver);
    answerRequests({
      receiver,
      mostBytes,
      guard,
      replyTo: (address, session) => this.#findReply(address, session),
      answer: (request) => this.#takeToken(request),
      end: (fault) => this.#open.get(receiver)?.gone(fault),
    });
  }

  #manage(receiver: Receiver, address: Address, queue: Queue): void {
    const { mostBytes, guard, namespace } = this.#options;
    this.#note(receiver, address, queue);
    answerRequests({
      receiver,
      mostBytes,
      guard,
      replyTo: (to, session) => this.#findReply(to, session),
      answer: (request, delivery) =>
        answerManagement(request, {
          queue,
          rulesChanged: () => namespace.changed(address),
          claim: this.#claimOf(request),
          transaction: () => this.#coordinator.of(delivery),
        }),
      end: (fault) => this.#open.get(receiver)?.gone(fault),
    });
  }

  #receive(
    receiver: Receiver,
    address: Address,
    queue: Queue,
    connection: EventContext['connection'],
  ): void {
    const { mostBytes, guard } = this.#options;
    queue.checkSend([]);
    // Send-via: what is sent to one entity is meant for another.
    const via = attachOf(receiver).properties?.['com.microsoft:transfer-destination-address'];
    const target = typeof via === 'string' ? this.#find(parseAddress(via), connection) : queue;
    target.checkSend([]);
    this.#note(receiver, address, target);
    const transactions = this.#coordinator;
    receiveFromClient({ receiver, queue: target, mostBytes, guard, transactions });
  }

  #send(sender: Sender, address: Address, queue: Queue): void {
    const { guard } = this.#options;
    const transactions = this.#coordinator;
    const outgoing = new OutgoingLink({ sender, queue, guard, transactions });
    this.#outgoing.set(sender, outgoing);
    this.#note(sender, address, queue, outgoing);
    try {
      outgoing.start();
    } catch (fault) {
      this.#leave(sender);
      throw fault;
    }
  }

  #reply(sender: Sender, address?: Address, queue?: Queue): void {
    this.#replies.set(sender, new ReplyLink(sender));
    this.#note(sender, address, queue);
  }

  // --- all of them ------------------------------------------------------------------------------

  #find(address: Address, connection: EventContext['connection']): Queue {
    this.#options.grants.check(address.path);
    return this.#options.namespace.queue(address, hostOf(connection));
  }

  /** The link is open: it ends with its entity, its grant, its AMQP session and its connection. */
  #note(link: Link, address?: Address, queue?: Queue, outgoing?: OutgoingLink): void {
    const closing = link as unknown as Sender & { connection: { _register(): void } };
    const open: OpenLink = {
      path: address?.path ?? '',
      session: link.session,
      gone: (fault) => {
        closing.close(toAmqpError(fault));
        closing.connection._register();
        this.#leave(link);
      },
      leave: () => {
        queue?.links.delete(open);
        outgoing?.close();
      },
    };
    this.#open.set(link, open);
    queue?.links.add(open);
    link.on(link.is_sender() ? 'sender_close' : 'receiver_close', () => this.#leave(link));
  }

  #leave(link: Link): void {
    const open = this.#open.get(link);
    this.#open.delete(link);
    this.#outgoing.delete(link as Sender);
    this.#replies.delete(link as Sender);
    open?.leave();
  }

  closeSession(session: Session | undefined): void {
    for (const [link, open] of [...this.#open]) if (open.session === session) this.#leave(link);
  }

  closeAll(): void {
    this.#cancelWatch?.();
    const { guard } = this.#options;
    for (const link of [...this.#open.keys()]) guard(() => this.#leave(link))();
    this.#coordinator.close();
  }

  /** The client reads again, or gave room: what was held back may go. */
  resume(): void {
    for (const outgoing of this.#outgoing.values()) outgoing.resume();
    for (const reply of this.#replies.values()) if (reply.isWaiting) reply.flush();
  }

  // --- requests ---------------------------------------------------------------------------------

  /**
   * The link that a `reply-to` means: by target address, by name, or the one of the same session. When
   * several mean it, the one of the same session, or else the newest: after a broken connection the SDK
   * for JavaScript opens `$cbs` several times under one name, and asks and listens by the last.
   */
  #findReply(replyTo: string | undefined, session: Session): ReplyLink | undefined {
    const newest = [...this.#replies.values()].reverse();
    const own = newest.filter(({ sender }) => sender.session === session);
    const first = [...own, ...newest];
    return (
      first.find(({ sender }) => attachOf(sender).target?.address === replyTo) ??
      first.find(({ sender }) => attachOf(sender).name === replyTo) ??
      own[0]
    );
  }

  /**
   * Who holds a session may speak of it: on its own connection, and if it says by which link, then by
   * that one.
   */
  #claimOf({ application_properties: properties }: Message): (holder: SessionHolder) => boolean {
    const name = properties?.['associated-link-name'];
    const own = [...this.#outgoing].filter(([sender]) => attachOf(sender).name === name);
    const candidates = own.length > 0 ? own : [...this.#outgoing];
    return (holder) => candidates.some(([, outgoing]) => outgoing === holder);
  }

  #takeToken({ body, application_properties: properties = {} }: Message): Answer {
    try {
      this.#options.grants.put(String(body), String(properties['name'] ?? ''));
      this.#watchGrants();
      return answered(202, 'Accepted');
    } catch (fault) {
      return answered(401, toAmqpError(fault).description);
    }
  }

  /** Links whose token ended and was not renewed end too. */
  #watchGrants(): void {
    const { grants, clock } = this.#options;
    const end = grants.nextEnd();
    this.#cancelWatch?.();
    if (!Number.isFinite(end)) return;
    this.#cancelWatch = clock.after(end - clock.now(), () => {
      for (const open of [...this.#open.values()])
        try {
          if (open.path !== '') grants.check(open.path);
        } catch (fault) {
          open.gone(fault as ServiceBusFault);
        }
      this.#watchGrants();
    });
  }
}

const isTokens = ({ path }: Address) => path.toLowerCase() === '$cbs';

const hostOf = (connection: EventContext['connection']): string =>
  (connection as unknown as { hostname?: string }).hostname ?? 'localhost';

const answered = (status: number, description: string): Answer => ({
  properties: { 'status-code': int(status), 'status-description': string(description) },
});

const noAnonymousTerminus = () =>
  new ServiceBusFault(
    'amqp:not-implemented',
    'Give the link an address: a queue of topology.json.',
  );

function echo(link: SenderInternals | ReceiverInternals): void {
  const asked = attachOf(link);
  // rhea has one that is absent as an encoded null.
  for (const end of ['source', 'target'] as const)
    if (typeof asked[end]?.described === 'function')
      link.local.attach[end] = asked[end].described();
  for (const mode of ['snd_settle_mode', 'rcv_settle_mode'] as const)
    if (asked[mode] !== undefined) link.local.attach[mode] = asked[mode];
}

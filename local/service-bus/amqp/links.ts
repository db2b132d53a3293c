/** The links of one connection: who asked for what, and which of the four kinds of node answers. */
import type { EventContext, Message, Sender, Session } from 'rhea';
import { parseAddress } from '../address.ts';
import { ServiceBusFault } from '../entity/errors.ts';
import type { Namespace } from '../namespace.ts';
import { refuse, toAmqpError } from './faults.ts';
import { receiveFromClient } from './incoming.ts';
import { answerManagement } from './management.ts';
import { OutgoingLink } from './outgoing.ts';
import { type Answer, answerRequests, type ReplyLinks } from './request-response.ts';
import { attachOf, type ReceiverInternals, type SenderInternals } from './rhea-internals.ts';
import type { Grants } from './tokens.ts';
import { int, string } from './types.ts';

export class ConnectionLinks implements ReplyLinks {
  readonly #namespace: Namespace;
  readonly #grants: Grants;
  readonly #maxMessageBytes: number;
  readonly #outgoing = new Map<Sender, OutgoingLink>();
  readonly #replies = new Set<Sender>();

  constructor(namespace: Namespace, grants: Grants, maxMessageBytes: number) {
    this.#namespace = namespace;
    this.#grants = grants;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** A link on which the client sends: to a queue, to `$cbs` or to a queue's `$management`. */
  clientSends({ receiver, connection }: EventContext): void {
    if (!receiver) return;
    const link = receiver as unknown as ReceiverInternals;
    const host = hostOf(connection);
    try {
      const target = attachOf(receiver).target?.address;
      if (typeof target !== 'string') throw noAnonymousTerminus();
      echo(link);
      const address = parseAddress(target);
      if (address.path.toLowerCase() === '$cbs')
        answerRequests(receiver, this, (request) => this.#takeToken(request));
      else {
        this.#grants.check(address.path);
        const queue = this.#namespace.queue(address, host);
        if (address.isManagement)
          answerRequests(receiver, this, (request) =>
            answerManagement(queue, request, () => this.#namespace.changed(address)),
          );
        else {
          queue.checkSend([]);
          link.local.attach['max_message_size'] = this.#maxMessageBytes;
          receiveFromClient(receiver, queue, this.#maxMessageBytes);
        }
      }
    } catch (fault) {
      refuse(link, fault);
    }
  }

  /** A link on which the client receives: messages of a queue, or answers to its requests. */
  clientReceives({ sender, connection }: EventContext): void {
    if (!sender) return;
    const link = sender as unknown as SenderInternals;
    const host = hostOf(connection);
    try {
      const source = attachOf(sender).source?.address;
      if (typeof source !== 'string') throw noAnonymousTerminus();
      echo(link);
      const address = parseAddress(source);
      if (address.path.toLowerCase() === '$cbs' || address.isManagement) {
        if (address.isManagement) {
          this.#grants.check(address.path);
          this.#namespace.queue(address, host);
        }
        this.#replies.add(sender);
        sender.on('sender_close', () => this.#replies.delete(sender));
        return;
      }
      this.#grants.check(address.path);
      const queue = this.#namespace.queue(address, host);
      const outgoing = new OutgoingLink(sender, queue);
      this.#outgoing.set(sender, outgoing);
      sender.on('sender_close', () => this.#closeOutgoing(sender));
      outgoing.start();
    } catch (fault) {
      refuse(link, fault);
    }
  }

  /** The link that a `reply-to` means: by target address, by name, or the one of the same session. */
  find(replyTo: string | undefined, session: Session): Sender | undefined {
    const open = [...this.#replies];
    return (
      open.find((sender) => attachOf(sender).target?.address === replyTo) ??
      open.find((sender) => attachOf(sender).name === replyTo) ??
      open.find((sender) => sender.session === session)
    );
  }

  /** The client reads again: what was held back may go. */
  resume(): void {
    for (const outgoing of this.#outgoing.values()) outgoing.resume();
  }

  #takeToken({ body, application_properties: properties = {} }: Message): Answer {
    try {
      this.#grants.put(String(body), String(properties['name'] ?? ''));
      return answered(202, 'Accepted');
    } catch (fault) {
      return answered(401, toAmqpError(fault).description);
    }
  }

  closeSession(session: Session | undefined): void {
    for (const sender of this.#outgoing.keys())
      if (sender.session === session) this.#closeOutgoing(sender);
    for (const sender of this.#replies)
      if (sender.session === session) this.#replies.delete(sender);
  }

  closeAll(): void {
    for (const sender of this.#outgoing.keys()) this.#closeOutgoing(sender);
    this.#replies.clear();
  }

  #closeOutgoing(sender: Sender): void {
    this.#outgoing.get(sender)?.close();
    this.#outgoing.delete(sender);
  }
}

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
  for (const end of ['source', 'target'] as const)
    if (asked[end]) link.local.attach[end] = asked[end].described();
  for (const mode of ['snd_settle_mode', 'rcv_settle_mode'] as const)
    if (asked[mode] !== undefined) link.local.attach[mode] = asked[mode];
}

/** A node that answers requests: `$cbs` and `$management` speak the same way. */
import rhea, {
  type Delivery,
  type EventContext,
  type Message,
  type Receiver,
  type Sender,
  type Session,
} from 'rhea';
import { ServiceBusFault } from '../entity/errors.ts';
import type { Guard } from '../guarded.ts';
import { toAmqpError, undecodable } from './faults.ts';
import {
  accepted,
  rejected,
  type SenderInternals,
  type SessionInternals,
  setCredit,
  takeWhole,
  update,
} from './rhea-internals.ts';
import { checkedSections } from './sections.ts';
import type { Typed } from './types.ts';

export interface Answer {
  properties: Record<string, Typed>;
  body?: unknown;
}

interface Reply {
  message: Message;
  sent: () => void;
}

/** The link by which a client hears the answers: those for which it gave no credit wait here. */
export class ReplyLink {
  readonly sender: Sender;
  readonly #waiting: Reply[] = [];

  constructor(sender: Sender) {
    this.sender = sender;
    sender.on('sender_flow', () => this.flush());
  }

  send(message: Message, sent: () => void): void {
    this.#waiting.push({ message, sent });
    this.flush();
  }

  /** To be called when there may be room again. */
  flush(): void {
    for (let next = this.#waiting[0]; next && this.#hasRoom(); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#inFlight++;
      const delivery = this.sender.send(next.message) as unknown as { settled: boolean };
      // An answer is done with once it is sent: clients seldom say that they settled it.
      delivery.settled = true;
      next.sent();
    }
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  // Handed to rhea; it counts those it has written in `delivery_count`.
  #inFlight = 0;

  #hasRoom(): boolean {
    const link = this.sender as unknown as SenderInternals;
    const { outgoing } = this.sender.session as unknown as SessionInternals;
    return link.credit - (this.#inFlight - link.delivery_count) > 0 && outgoing.available() > 0;
  }
}

export interface Requests {
  receiver: Receiver;
  /** The link on which the answer to a request goes out. */
  replyTo(address: string | undefined, session: Session): ReplyLink | undefined;
  answer(request: Message, delivery: Delivery | undefined): Answer | Promise<Answer>;
  mostBytes: number;
  /** Ends the link of who asks too much at once. */
  end(fault: ServiceBusFault): void;
  guard: Guard;
}

// Requests that may be under way on one link: as many answers are held for who does not read them.
const mostRequests = 200;

export function answerRequests(requests: Requests): void {
  const { receiver, mostBytes, end, guard } = requests;
  let allowed = 0;
  const allow = (more: number) => {
    allowed += more;
    if (allowed < mostRequests / 4 && more === 1) return;
    receiver.add_credit(allowed);
    allowed = 0;
  };
  setCredit(receiver, mostRequests);
  receiver.on(
    'message',
    guard(async (context: EventContext) => {
      let request: Message;
      try {
        request = decoded(takeWhole(context, mostBytes));
      } catch (fault) {
        update(context.delivery, rejected(toAmqpError(fault)));
        if (fault instanceof ServiceBusFault && /size/.test(fault.condition)) end(fault);
        allow(1);
        return;
      }
      update(context.delivery, accepted());
      const reply = await replyTo(request, context.delivery, requests);
      const link = requests.replyTo(textOf(request.reply_to), receiver.session);
      if (link) link.send(reply, () => allow(1));
      else allow(1);
    }),
  );
}

async function replyTo(
  request: Message,
  delivery: Delivery | undefined,
  { answer }: Requests,
): Promise<Message> {
  const { properties, body } = await answer(request, delivery);
  return {
    correlation_id: request.message_id,
    application_properties: properties,
    body: body ?? null,
  } as unknown as Message;
}

/** @throws ServiceBusFault */
function decoded(raw: Buffer): Message {
  try {
    checkedSections(raw);
    return rhea.message.decode(raw) as unknown as Message;
  } catch (cause) {
    throw undecodable(cause);
  }
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);

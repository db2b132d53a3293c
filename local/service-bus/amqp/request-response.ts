/** A node that answers requests: `$cbs` and `$management` speak the same way. */
import rhea, {
  type EventContext,
  type Message,
  type Receiver,
  type Sender,
  type Session,
} from 'rhea';
import { accepted, rawOf, update } from './rhea-internals.ts';
import type { Typed } from './types.ts';

export interface ReplyLinks {
  find(replyTo: string | undefined, session: Session): Sender | undefined;
}

export interface Answer {
  properties: Record<string, Typed>;
  body?: unknown;
}

export function answerRequests(
  receiver: Receiver,
  replies: ReplyLinks,
  answer: (request: Message) => Answer | Promise<Answer>,
): void {
  receiver.on('message', async (context: EventContext) => {
    const request = rhea.message.decode(rawOf(context)) as unknown as Message;
    update(context.delivery, accepted());
    const { properties, body } = await answer(request);
    const reply = {
      correlation_id: request.message_id,
      application_properties: properties,
      body: body ?? null,
    } as unknown as Message;
    const sent = replies.find(request.reply_to, receiver.session)?.send(reply);
    // An answer is done with once it is sent: clients seldom say that they settled it.
    if (sent) (sent as unknown as { settled: boolean }).settled = true;
  });
}

/** A transaction on a coordinator link, which rhea knows nothing of (AMQP 1.0, part 4). */
import assert from 'node:assert/strict';
import type { Connection, Delivery, Sender, Session, Typed } from 'rhea';
import { described, encoded } from '../../../support/wire.ts';
import type { Step } from '../steps.ts';
import { AmqpFault, deliver, event, openReceiver, openSender, received } from './client.ts';
import { made } from './messages.ts';

const code = {
  transfer: 0x14,
  coordinator: 0x30,
  declare: 0x31,
  discharge: 0x32,
  declared: 0x33,
  within: 0x34,
  accepted: 0x24,
};

type Transaction = Extract<Step, { do: 'transaction' }>;
interface Performative {
  value: unknown[];
  constructor: { descriptor?: { numeric: number } };
}
interface Internals {
  on_attach(frame: { performative: { target?: unknown } }): void;
  output(performative: Performative, payload: unknown): void;
  on_disposition(frame: { performative: { first: number; last?: number; state?: Typed } }): void;
}

export async function transact(connection: Connection, step: Transaction): Promise<void> {
  const session = sessionOf(await openSender(connection, step.from));
  const states = new States(session);
  const coordinator = connection.open_sender({ autosettle: false } as never);
  const attach = (coordinator as unknown as { local: { attach: Record<string, unknown> } }).local;
  attach.attach['target'] = described(code.coordinator, []);
  await event(coordinator, ['sendable'], () => true);
  const ask = (descriptor: number, fields: unknown[]) =>
    states.answered(coordinator, described(descriptor, fields));

  const declared = await ask(code.declare, []);
  assert.equal(Number(declared.descriptor?.value), code.declared, 'declared');
  const [id] = declared.value as [Typed];
  const within = (outcome: unknown) => described(code.within, [id, outcome]);

  const receiver = await openReceiver(connection, step.from);
  const taken = await received(receiver, step.settles, 10_000);
  assert.equal(taken.length, step.settles, 'messages');
  for (const { delivery } of taken) delivery.update(false, within(described(code.accepted, [])));
  for (const { to, messages } of step.sends) {
    const sender = await openSender(connection, to);
    for (const message of messages)
      await deliver(sender, made(message), {
        sent: (delivery) => states.carry(delivery, within(null)),
      });
  }
  // What is settled in it is answered before the end of it is asked for: one connection, one order.
  await ask(code.discharge, [id, step.ends === 'rollback']);
  receiver.close();
  coordinator.close();
}

const sessionOf = (sender: Sender): Session => sender.session;

/** What rhea does not let through: the state of transfers, and answers whose outcomes it does not know. */
class States {
  readonly #carried = new Map<number, unknown>();
  readonly #answers = new Map<number, (state: Typed) => void>();

  constructor(session: Session) {
    const internals = session as unknown as Internals;
    const output = internals.output.bind(internals);
    internals.output = (performative, payload) => {
      const id = Number((performative.value[1] as Typed | undefined)?.value);
      if (performative.constructor.descriptor?.numeric === code.transfer && this.#carried.has(id))
        performative.value[7] = this.#carried.get(id);
      output(performative, payload);
    };
    const attached = internals.on_attach.bind(internals);
    internals.on_attach = (frame) => {
      const { target } = frame.performative;
      if (Number((target as Typed | undefined)?.descriptor?.value) === code.coordinator)
        frame.performative.target = null;
      attached(frame);
    };
    const original = internals.on_disposition.bind(internals);
    internals.on_disposition = (frame) => {
      const { first, last = first, state } = frame.performative;
      for (let id = first; id <= last; id++) if (state) this.#answers.get(id)?.(state);
      const { descriptor, value } = (state ?? {}) as { descriptor?: Typed; value?: Typed[] };
      const kind = Number(descriptor?.value);
      if (kind === code.declared) frame.performative.state = described(code.accepted, []);
      const [, outcome] = value ?? [];
      if (kind === code.within && outcome) frame.performative.state = outcome;
      original(frame);
    };
  }

  carry(delivery: Delivery, state: unknown): void {
    this.#carried.set(delivery.id, state);
  }

  /** The request is the described value in the body. @throws AmqpFault when it is refused */
  async answered(link: Sender, request: Typed): Promise<Typed & { descriptor?: Typed }> {
    const body = Buffer.concat([Buffer.from([0x00, 0x53, 0x77]), encoded(request)]);
    const delivery = link.send(body as never, undefined, 0);
    const heard = new Promise<Typed>((resolve) => this.#answers.set(delivery.id, resolve));
    const outcome = event(link, ['settled'], ({ delivery: of }) =>
      of === delivery
        ? { error: (delivery.remote_state as { error?: unknown })?.error }
        : undefined,
    );
    const [state, { error }] = await Promise.all([heard, outcome]);
    if (error) throw new AmqpFault(error);
    return state;
  }
}

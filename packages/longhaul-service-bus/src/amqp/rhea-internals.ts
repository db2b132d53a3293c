/**
 * What this broker needs of rhea beyond its typings. rhea is pinned to an exact version for this
 * file's sake; each entry says why (the numbers are those of SERVICE-BUS.md, "Traps met").
 */
import rhea, {
  type Connection,
  type Delivery,
  type EventContext,
  type Receiver,
  type Sender,
  type Session,
  type Typed,
} from 'rhea';
import { ServiceBusFault } from '../entity/errors.ts';
import type { Guard } from '../guarded.ts';

export interface RawTransferFrame {
  performative: {
    message_format: number | null | undefined;
    delivery_id?: number | null;
    more?: boolean;
    aborted?: boolean | null;
  };
  payload?: Buffer | undefined;
}

/** A delivery of which more frames are to come; `bytes` only of one that is more than one frame. */
interface Incomplete {
  frames?: (Buffer | undefined)[];
  settled: boolean;
  bytes?: number;
}

/** Deliveries by their ids, which rise without a gap. */
interface Ring {
  by_id(id: number): { transaction?: string } | undefined;
  get_head(): { id: number } | undefined;
  get_tail(): { id: number } | undefined;
  entries: unknown[];
  head: number;
  tail: number;
  size: number;
  capacity: number;
}

interface DispositionFrame {
  performative: {
    role: boolean;
    first: number;
    last?: number | null;
    settled?: boolean | null;
    state?: (Typed & { descriptor?: { value: unknown }; value?: unknown }) | null;
  };
}

interface FlowFrame {
  performative: {
    next_incoming_id?: number | null;
    delivery_count?: number | null;
    link_credit?: number | null;
    handle?: number | null;
  };
}

interface AttachFrame {
  /** `role` is true when the peer receives. */
  performative: {
    name: string;
    role: boolean;
    target?: Typed | null;
    coordinator?: Typed | undefined;
  };
}

export type SessionInternals = Session & {
  links: Record<
    string,
    { is_receiver(): boolean; local: { attach: { name: string } } } | undefined
  >;
  on_attach(frame: AttachFrame): void;
  on_disposition(frame: DispositionFrame): void;
  on_flow(frame: FlowFrame): void;
  output(performative: Typed): void;
  incoming: {
    deliveries: Ring;
    next_transfer_id: number;
    on_transfer(frame: RawTransferFrame, receiver: Receiver): void;
  };
  outgoing: {
    deliveries: Ring;
    available(): number;
    transfer_window(): number;
    remote_next_transfer_id?: number;
    next_transfer_id: number;
    next_delivery_id: number;
    next_pending_delivery: number;
    /** See `dispositions.ts`. */
    tell(delivery: object): void;
    update(delivery: unknown, settled: boolean, state: unknown): void;
    process(session: unknown): void;
  };
  /** Deliveries whose slot was freed although the client may still say something of them. */
  freed?: Set<number>;
  /** A link has credit and messages, and no place for them. */
  wantsPlaces?: boolean;
};

interface LinkInternals {
  state: { local_open: boolean; open_requests: number; remote_open: boolean };
  local: { attach: Record<string, unknown> };
  open(): void;
  connection: Connection & { _register(): void; socket?: { writableLength: number } };
}

type ReceiverCounts = Receiver & {
  _incomplete?: Incomplete | undefined;
  delivery_count: number;
  credit: number;
  flow(credit: number): void;
};

export type SenderInternals = Omit<Sender, keyof LinkInternals> &
  LinkInternals & {
    delivery_count: number;
    credit: number;
    issue_flow: boolean;
    _draining: boolean;
    _get_drain(): boolean;
  };

export type ReceiverInternals = Omit<Receiver, keyof LinkInternals> & LinkInternals;

export type ConnectionInternals = Connection & {
  input(buffer: Buffer): void;
  output(): void;
  idle(): void;
  abort_socket(socket: unknown): void;
  _process(): void;
  _write_frame(): void;
  _disconnected(): void;
  is_open(): boolean;
  accept(socket: unknown): void;
  remote_channel_map: Record<number, unknown>;
  sasl_transport?: { transports?: Record<number, { transport?: { read_complete: boolean } }> };
};

export type DeliveryInternals = Delivery & {
  id: number;
  remote_settled: boolean;
  settled: boolean;
  bytes?: number;
};

/** All by which rhea is entered: from the socket, in the next turn of the loop, by its own timers. */
export function guardEntrances(connection: ConnectionInternals, guard: Guard): void {
  connection.input = guard(connection.input.bind(connection));
  connection._process = guard(connection._process.bind(connection));
  connection.idle = guard(connection.idle.bind(connection));
  connection.abort_socket = guard(connection.abort_socket.bind(connection));
  connection._disconnected = guard(connection._disconnected.bind(connection));
}

export const isSaslOver = ({ sasl_transport: sasl }: ConnectionInternals): boolean =>
  sasl?.transports?.[3]?.transport?.read_complete === true;

/**
 * Raw pass-through (10, 12): with no message format rhea hands over the bytes and decodes nothing. Of
 * a message beyond `mostBytes` nothing is kept; it is refused when its end has come.
 */
export function receiveRaw(session: SessionInternals, mostBytes: number): void {
  const { incoming } = session;
  const original = incoming.on_transfer.bind(incoming);
  incoming.on_transfer = (frame, link) => {
    const { performative } = frame;
    const receiver = link as ReceiverCounts;
    if (!performative.message_format) performative.message_format = undefined;
    if (!receiver._incomplete && typeof performative.delivery_id !== 'number')
      throw new Error('A transfer without a delivery id.');
    if (performative.aborted) {
      // rhea knows no aborted transfers: it would take what came for the message.
      performative.more = true;
      original(frame, receiver);
      dropIncomplete(receiver);
      return;
    }
    if (receiver._incomplete) bound(receiver._incomplete, frame, mostBytes);
    original(frame, receiver);
  };
}

function dropIncomplete(receiver: ReceiverCounts): void {
  const { _incomplete: current } = receiver;
  receiver._incomplete = undefined;
  if (current) current.settled = true;
  receiver.delivery_count++;
  receiver.credit--;
  receiver.flow(1);
}

function bound(current: Incomplete, frame: RawTransferFrame, mostBytes: number): void {
  current.bytes ??= current.frames?.[0]?.length ?? 0;
  current.bytes += frame.payload?.length ?? 0;
  if (current.bytes <= mostBytes) return;
  frame.payload = undefined;
  current.frames = [Buffer.alloc(0)];
}

/** The bytes of a message, as it was sent. @throws ServiceBusFault when they are too many */
export function takeWhole({ delivery, message }: EventContext, mostBytes: number): Buffer {
  const { id, bytes } = delivery as DeliveryInternals;
  const raw = (message as unknown as Buffer | undefined) ?? Buffer.alloc(0);
  const size = bytes ?? raw.length;
  if (size <= mostBytes) return raw;
  throw new ServiceBusFault(
    'amqp:link:message-size-exceeded',
    `The received message (delivery-id:${id}, size:${size} bytes) exceeds the limit (${mostBytes} bytes) currently allowed on the link.`,
  );
}

/** What is left out of a flow counts as nothing; rhea would calculate with it. `flowed` comes after. */
export function fillFlows(session: SessionInternals, flowed: () => void): void {
  // Before the first flow: rhea would calculate with nothing.
  session.outgoing.remote_next_transfer_id ??= session.outgoing.next_transfer_id;
  const original = session.on_flow.bind(session);
  session.on_flow = (frame) => {
    const { performative } = frame;
    for (const name of ['next_incoming_id', 'delivery_count', 'link_credit'] as const)
      performative[name] ??= 0;
    original(frame);
    flowed();
  };
}

/**
 * rhea walks from the first id of a disposition to the last, whatever they are; here only those that
 * are there. `lost` is the answer to who settles what was taken away from it.
 */
export function boundDispositions(session: SessionInternals, lost: () => unknown): void {
  const original = session.on_disposition.bind(session);
  session.on_disposition = (frame) => {
    const { performative } = frame;
    const { role, first } = performative;
    const last = performative.last ?? first;
    if (role && !performative.settled) answerFreed(session, first, last, lost);
    const { deliveries } = role ? session.outgoing : session.incoming;
    const from = Math.max(first, deliveries.get_head()?.id ?? 0);
    const to = Math.min(last, deliveries.get_tail()?.id ?? -1);
    if (to < from) return;
    performative.first = from;
    performative.last = to;
    const transaction = takeTransaction(frame);
    original(frame);
    if (transaction === undefined) return;
    for (let id = from; id <= to; id++) {
      const delivery = deliveries.by_id(id);
      if (delivery) delivery.transaction = transaction;
    }
  };
}

/** rhea knows no outcomes within transactions: it gets the outcome alone. */
function takeTransaction({ performative }: DispositionFrame): string | undefined {
  const { state } = performative;
  const isOne = ['amqp:transactional-state:list', 0x34].includes(state?.descriptor?.value as 0x34);
  if (!isOne || !Array.isArray(state?.value)) return undefined;
  const [id, outcome] = state.value as [{ value: unknown } | undefined, Typed | undefined];
  performative.state = outcome ?? null;
  return Buffer.isBuffer(id?.value) ? id.value.toString('hex') : '';
}

function answerFreed(session: SessionInternals, first: number, last: number, lost: () => unknown) {
  for (const id of session.freed ?? []) {
    if (id < first || id > last) continue;
    session.freed?.delete(id);
    const link = { is_receiver: () => false, session };
    session.outgoing.tell({ id, link, state: lost(), settled: true });
    (session.connection as unknown as { _register(): void })._register();
  }
}

/**
 * rhea finds links by their name; but two may have the same, one in each direction (AMQP 1.0, part 2,
 * 2.6.1), and those of Proton have.
 */
export function tellDirectionsApart(session: SessionInternals): void {
  const original = session.on_attach.bind(session);
  session.on_attach = (frame) => {
    takeCoordinator(frame);
    const { name, role } = frame.performative;
    if (session.links[name]?.is_receiver() !== role) {
      original(frame);
      return;
    }
    const key = `${name}\u0000${role}`;
    frame.performative.name = key;
    original(frame);
    frame.performative.name = name;
    const link = session.links[key];
    if (link) link.local.attach.name = name;
  };
}

// The target of a link that is for transactions; rhea knows no such terminus.
const coordinator = new Set<unknown>([0x30, 'amqp:coordinator:list']);

function takeCoordinator({ performative }: AttachFrame): void {
  const { target } = performative;
  const { descriptor } = (target ?? {}) as { descriptor?: { value: unknown } };
  if (!target || !coordinator.has(descriptor?.value)) return;
  performative.coordinator = target;
  performative.target = null;
}

/** The target as it was asked for, of a link that is for transactions. */
export const coordinatorOf = (link: unknown): Typed | undefined =>
  (link as { remote: { attach: { coordinator?: Typed } } }).remote.attach.coordinator;

/** The id of the transaction that a delivery is part of, in hexadecimal digits. */
export function transactionIdOf(delivery: Delivery | undefined): string | undefined {
  const { remote_state: state, transaction } = (delivery ?? {}) as {
    remote_state?: unknown;
    transaction?: string;
  };
  const [id] = Array.isArray(state) ? (state as unknown[]) : [];
  return transaction ?? (Buffer.isBuffer(id) ? id.toString('hex') : undefined);
}

/** Credit that is given by hand from now on, not by a window that rhea keeps full. */
export function setCredit(receiver: Receiver, credit: number): void {
  const { observers } = receiver as unknown as {
    observers: { removeAllListeners(name: string): void };
  };
  observers.removeAllListeners('message');
  (receiver as unknown as ReceiverCounts).credit = credit;
}

/** Holds back the answer to an attach until `link.open()` is called (5). */
export function holdBack(link: LinkInternals): void {
  link.state.local_open = false;
  link.state.open_requests = 0;
}

/** Frees the slot of a settled delivery: the SDKs never say `settled` themselves (3). */
export function settleDelivery(delivery: Delivery, state: unknown): void {
  update(delivery, state);
  (delivery as DeliveryInternals).remote_settled = true;
}

export function update(delivery: Delivery | undefined, state: unknown): void {
  // biome-ignore lint/suspicious/noExplicitAny: rhea's typings lack the described outcome
  delivery?.update(true, state as any);
}

interface Terminus {
  address?: string;
  filter?: Record<string, unknown>;
  described(): unknown;
}

/** What the peer asked for in its attach. */
export interface RemoteAttach {
  name: string;
  source?: Terminus | null;
  target?: Terminus | null;
  snd_settle_mode?: number;
  rcv_settle_mode?: number;
  properties?: Record<string, unknown>;
}

export const attachOf = (link: unknown) =>
  (link as { remote: { attach: RemoteAttach } }).remote.attach;

interface Outcome {
  described(): unknown;
}
const outcomes = rhea.message as unknown as {
  accepted(): Outcome;
  rejected(fields: { error?: object }): Outcome;
  released(): Outcome;
  modified(fields: object): Outcome;
};
/**
 * The answer to what a receiver said of a message, if it was done: the same again, as clients wait for
 * that; of a rejection without the error, which would be one of ours.
 */
export function echoed(outcome: string): unknown {
  const { accepted: yes, rejected: no, released, modified } = outcomes;
  if (outcome === 'rejected') return no({}).described();
  if (outcome === 'released') return released().described();
  return (outcome === 'modified' ? modified({}) : yes()).described();
}

export const accepted = () => outcomes.accepted().described();
export const rejected = (error: { condition: string; description: string; info: object }) =>
  outcomes.rejected({ error }).described();

/** rhea's codec, which its typings leave out of `rhea.types`. */
export const codec = rhea.types as unknown as {
  Reader: new (buffer: Buffer) => { read(): Typed };
  Writer: new (buffer: Buffer) => { write(value: Typed): void; toBuffer(): Buffer };
  by_code: Record<number, { read(buffer: Buffer, offset: number): unknown } | undefined>;
};

/**
 * A boolean may be written as a type of its own with a byte (AMQP 1.0, part 1, 1.6.2), as Python's SDK
 * does: rhea would read a number, which is neither true nor false to a filter or a flag.
 */
const wideBoolean = codec.by_code[0x56];
if (wideBoolean) wideBoolean.read = (buffer, offset) => buffer.readUInt8(offset) !== 0;

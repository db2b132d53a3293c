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

export interface RawTransferFrame {
  performative: { message_format: number | null | undefined; more?: boolean };
  payload?: Buffer | undefined;
}

/** A delivery of which more frames are to come; `oversized` once it is beyond what is taken. */
interface Incomplete {
  frames: (Buffer | undefined)[];
  bytes?: number;
  oversized?: boolean;
}

interface AttachFrame {
  /** `role` is true when the peer receives. */
  performative: { name: string; role: boolean };
}

export type SessionInternals = Session & {
  links: Record<
    string,
    { is_receiver(): boolean; local: { attach: { name: string } } } | undefined
  >;
  on_attach(frame: AttachFrame): void;
  incoming: { on_transfer(frame: RawTransferFrame, receiver: Receiver): void };
  outgoing: { available(): number };
};

interface LinkInternals {
  state: { local_open: boolean; open_requests: number; remote_open: boolean };
  local: { attach: Record<string, unknown> };
  open(): void;
  connection: Connection & { _register(): void; socket?: { writableLength: number } };
}

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
  /** Of the frame that is being waited for. */
  frame_size?: number;
  output(): void;
  _write_frame(): void;
  _disconnected(): void;
  is_open(): boolean;
  accept(socket: unknown): void;
};

export type DeliveryInternals = Delivery & { remote_settled: boolean };

/**
 * Raw pass-through (10, 12): with no message format rhea hands over the bytes and decodes nothing. Of
 * a message beyond `mostBytes` no more than that is kept; it is refused when its end has come.
 */
export function receiveRaw(session: SessionInternals, mostBytes: number): void {
  const { incoming } = session;
  const original = incoming.on_transfer.bind(incoming);
  incoming.on_transfer = (frame, receiver) => {
    if (!frame.performative.message_format) frame.performative.message_format = undefined;
    const current = (receiver as unknown as { _incomplete?: Incomplete })._incomplete;
    if (current) bound(current, frame, mostBytes);
    original(frame, receiver);
  };
}

/**
 * rhea finds links by their name; but two may have the same, one in each direction (AMQP 1.0, part 2,
 * 2.6.1), and those of Proton have.
 */
export function tellDirectionsApart(session: SessionInternals): void {
  const original = session.on_attach.bind(session);
  session.on_attach = (frame) => {
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

function bound(current: Incomplete, frame: RawTransferFrame, mostBytes: number): void {
  current.bytes ??= current.frames[0]?.length ?? 0;
  current.bytes += frame.payload?.length ?? 0;
  // Two more bytes than are taken, so that who looks at the length refuses it.
  if (current.bytes > mostBytes + 2) frame.payload = Buffer.alloc(current.oversized ? 0 : 2);
  if (current.bytes > mostBytes + 2 && !current.oversized) {
    current.oversized = true;
    current.frames = [Buffer.alloc(mostBytes)];
  }
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

/** The raw bytes of a transfer, see `receiveRaw`. */
export const rawOf = (context: EventContext): Buffer => context.message as unknown as Buffer;

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
  rejected(fields: { error: { condition: string; description: string } }): Outcome;
};
export const accepted = () => outcomes.accepted().described();
export const rejected = (error: { condition: string; description: string }) =>
  outcomes.rejected({ error }).described();

/** rhea's codec, which its typings leave out of `rhea.types`. */
export const codec = rhea.types as unknown as {
  Reader: new (buffer: Buffer) => { read(): Typed };
  Writer: new (buffer: Buffer) => { write(value: Typed): void; toBuffer(): Buffer };
};

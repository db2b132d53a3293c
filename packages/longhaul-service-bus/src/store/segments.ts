/**
 * The messages of one entity as the store keeps them: many to a value, a segment. What a thousand
 * senders put in at one moment costs a few writes, and a start reads a few large values.
 *
 * A segment is written once. An entry is a message whole, or what has changed of it since; read in the
 * order of segments the last one counts. Which whole ones are gone stands beside their segment; without
 * one that counts it is deleted. One that is hardly used any more gives what is left to a new one.
 */
import { firstNot } from '../entity/ascending.ts';
import type { Message } from '../entity/message.ts';
import { tell } from '../guarded.ts';
import { Reader, Writer } from './binary.ts';
import { readMessage, writeMessage } from './message-bytes.ts';

const usual = {
  // What is left of a segment keeps all its bytes, here and on disk.
  mostBytes: 64 * 1024,
  mostEntries: 256,
  /** Beyond so many entries no more than three in four may be gone. */
  sparseFrom: 4096,
};

// About, of what is known of a message.
const knownBytes = 200;

const to = new Writer();

/** So that the order of keys is that of numbers. */
export const digits = (n: number) => n.toString().padStart(16, '0');

export class Segment {
  readonly number: number;
  /** Of each entry the message, while the entry counts. */
  readonly messages: (Message | undefined)[] = [];
  live = 0;
  bytes = 0;
  isWritten = false;
  isStored = false;
  hasGone = false;
  /** What is gone will be written with the next group. */
  tellsGone = false;

  constructor(number: number) {
    this.number = number;
  }

  get isSparse(): boolean {
    return this.isWritten && this.live * 4 <= this.messages.length;
  }

  add(message: Message, bytes: number): void {
    this.messages.push(message);
    this.live++;
    this.bytes += bytes;
  }

  /** Answers by how many entries it became smaller. */
  remove(message: Message): number {
    const at = this.messages.indexOf(message);
    if (at < 0) return 0;
    this.live--;
    if (this.isWritten) this.messages[at] = undefined;
    else this.messages.splice(at, 1);
    return this.isWritten ? 0 : 1;
  }

  write(): Buffer {
    // One that cannot be made is left out: the others are not to suffer for it.
    for (const message of [...this.messages])
      try {
        if (message) to.sized(() => writeMessage(to, message, { whole: message.wholeIn === this }));
      } catch (fault) {
        tell(`The broker cannot keep message ${message?.sequence}`)(fault);
        if (message) this.remove(message);
      }
    this.isWritten = true;
    return to.end();
  }

  /** A bit for each entry, set for those that are gone. */
  writeGone(): Buffer {
    this.tellsGone = false;
    const bits = Buffer.alloc(Math.ceil(this.messages.length / 8));
    for (const [at, message] of this.messages.entries())
      if (!message) bits[at >> 3] = (bits[at >> 3] ?? 0) | (1 << (at & 7));
    return bits;
  }
}

/** What stands in the store and cannot be read. */
export interface Unread {
  sequence: number;
  bytes: Buffer;
  fault: unknown;
}

type SetValue = (key: string, value: Buffer | undefined | (() => Buffer)) => void;

export class Segments {
  readonly #set: SetValue;
  /** Resolves once all that was set is in the store. */
  readonly #kept: () => Promise<void>;
  readonly #limits: typeof usual;
  readonly #all = new Set<Segment>();
  #open: Segment | undefined;
  #next = 1;
  #entries = 0;
  #live = 0;

  constructor(set: SetValue, kept: () => Promise<void>, limits: Partial<typeof usual> = {}) {
    this.#set = set;
    this.#kept = kept;
    this.#limits = { ...usual, ...limits };
  }

  /** Keeps it whole: at first, and when its bytes have changed. */
  put(message: Message): void {
    this.remove(message);
    const bytes = message.content.bare.length + knownBytes;
    message.wholeIn = this.#add(message, bytes);
  }

  /** Keeps what else is known of it. */
  change(message: Message): void {
    const { wholeIn, changeIn } = message;
    // As it is by then it is written.
    if (wholeIn?.isWritten === false || changeIn?.isWritten === false) return;
    this.#leave(changeIn, message);
    message.changeIn = this.#add(message, knownBytes);
  }

  remove(message: Message): void {
    const { wholeIn, changeIn } = message;
    message.wholeIn = undefined;
    message.changeIn = undefined;
    this.#leave(changeIn, message);
    this.#leave(wholeIn, message, { tell: true });
    if (this.#entries > this.#limits.sparseFrom && this.#live * 4 < this.#entries) this.#tidy();
  }

  #add(message: Message, bytes: number): Segment {
    const { mostBytes, mostEntries } = this.#limits;
    let segment = this.#open;
    const isFull =
      segment && (segment.bytes >= mostBytes || segment.messages.length >= mostEntries);
    if (!segment || segment.isWritten || isFull) segment = this.#begin();
    segment.add(message, bytes);
    this.#live++;
    this.#entries++;
    return segment;
  }

  #begin(): Segment {
    const segment = new Segment(this.#next++);
    this.#open = segment;
    this.#all.add(segment);
    this.#set(keyOf(segment), () => segment.write());
    this.#kept().then(
      () => {
        segment.isStored = true;
      },
      () => undefined,
    );
    return segment;
  }

  /** `tell`: or it would be there again at the next start. */
  #leave(segment: Segment | undefined, message: Message, { tell = false } = {}): void {
    if (!segment) return;
    this.#entries -= segment.remove(message);
    this.#live--;
    if (segment.live === 0) this.#delete(segment);
    else if (tell && segment.isWritten) this.#tellGone(segment);
  }

  #delete(segment: Segment): void {
    this.#all.delete(segment);
    this.#entries -= segment.messages.length;
    this.#set(keyOf(segment), undefined);
    if (segment.hasGone) this.#set(goneKeyOf(segment), undefined);
    if (this.#open === segment) this.#open = undefined;
  }

  #tellGone(segment: Segment): void {
    // Once for a group: of most segments many are gone at one moment.
    if (segment.tellsGone) return;
    segment.hasGone = true;
    segment.tellsGone = true;
    this.#set(goneKeyOf(segment), () => segment.writeGone());
  }

  /** What is left of segments that are hardly used goes into new ones. */
  #tidy(): void {
    for (const segment of [...this.#all].filter(({ isSparse }) => isSparse))
      for (const message of segment.messages) {
        if (message?.wholeIn === segment) this.#putAgain(message);
        else if (message) this.change(message);
      }
  }

  #putAgain(message: Message): void {
    const { wholeIn, changeIn } = message;
    message.wholeIn = this.#add(message, message.content.bare.length + knownBytes);
    message.changeIn = undefined;
    this.#leave(wholeIn, message, { tell: true });
    this.#leave(changeIn, message);
  }

  // --- at a start ---------------------------------------------------------------------------------

  /** The messages of all segments, in the order of their numbers. */
  read(values: ReadonlyMap<number, Buffer>, gone: ReadonlyMap<number, Buffer>) {
    const messages = new Found();
    const unread: Unread[] = [];
    let highest = 0;
    for (const [number, value] of [...values].sort(([a], [b]) => a - b)) {
      const segment = this.#readSegment(number, gone.has(number));
      const isGone = bitsOf(gone.get(number));
      const from = new Reader(value);
      for (let end = 0, begin = 0; !from.isAtEnd; from.moveTo(end)) {
        begin = from.at;
        end = from.sized();
        const sequence = from.number();
        highest = Math.max(highest, sequence);
        const at = segment.messages.push(undefined) - 1;
        if (isGone(at)) continue;
        try {
          this.#readEntry(from, sequence, messages, segment);
        } catch (fault) {
          unread.push({ sequence, bytes: value.subarray(begin, end), fault });
          this.#tellGone(segment);
        }
      }
      this.#entries += segment.messages.length;
    }
    for (const segment of [...this.#all]) if (segment.live === 0) this.#delete(segment);
    return { messages: messages.inOrder(), unread, highest };
  }

  /** The last of a segment: what was said of its message before does not count any more. */
  #readEntry(from: Reader, sequence: number, messages: Found, segment: Segment): void {
    const known = messages.get(sequence);
    const isWhole = from.byte() === 1;
    // The message is gone that has changed.
    if (!isWhole && !known) return;
    const read = readMessage(from, sequence, isWhole ? undefined : known?.content.bare);
    const { wholeIn, changeIn } = known ?? read;
    const message = known ? Object.assign(known, read, { wholeIn, content: read.content }) : read;
    message.changeIn = isWhole ? undefined : segment;
    if (isWhole) message.wholeIn = segment;
    segment.messages[segment.messages.length - 1] = message;
    segment.live++;
    this.#live++;
    this.#leave(changeIn, message);
    if (isWhole) this.#leave(wholeIn, message);
    if (!known) messages.add(message);
  }

  #readSegment(number: number, hasGone: boolean): Segment {
    const segment = Object.assign(new Segment(number), {
      ...{ isWritten: true, isStored: true, hasGone },
    });
    this.#all.add(segment);
    this.#next = Math.max(this.#next, number + 1);
    return segment;
  }
}

const keyOf = ({ number }: Segment) => `b/${digits(number)}`;
const goneKeyOf = ({ number }: Segment) => `g/${digits(number)}`;

const bitsOf =
  (bits: Buffer = Buffer.alloc(0)) =>
  (at: number) =>
    (((bits[at >> 3] ?? 0) >> (at & 7)) & 1) === 1;

/** Messages as they are read: nearly all in the order of their numbers, but for those put anew. */
class Found {
  readonly #all: Message[] = [];
  readonly #late = new Map<number, Message>();

  add(message: Message): void {
    const last = this.#all.at(-1);
    if (last && message.sequence < last.sequence) this.#late.set(message.sequence, message);
    else this.#all.push(message);
  }

  get(sequence: number): Message | undefined {
    const last = this.#all.at(-1);
    if (!last || sequence > last.sequence) return undefined;
    const at = firstNot(this.#all.length, (at) => (this.#all[at]?.sequence ?? 0) < sequence);
    const message = this.#all[at];
    return message?.sequence === sequence ? message : this.#late.get(sequence);
  }

  inOrder(): Message[] {
    if (this.#late.size === 0) return this.#all;
    return [...this.#all, ...this.#late.values()].sort((a, b) => a.sequence - b.sequence);
  }
}

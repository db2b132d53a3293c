/** Values one behind the other in bytes, read in the order in which they were written. */

// A number is never this one: what is not there.
const nothing = Number.NaN;
const noText = 0xffff_ffff;

const usualBytes = 128 * 1024;

// Several times as fast for numbers as a buffer.
const viewOf = ({ buffer, byteOffset, length }: Buffer) => new DataView(buffer, byteOffset, length);

/** One is used again and again, so that its room is made once. */
export class Writer {
  #bytes: Buffer = Buffer.allocUnsafe(usualBytes);
  #view = viewOf(this.#bytes);
  #at = 0;

  // The room first: it may be in other bytes than those there were.

  byte(value: number): void {
    const at = this.#room(1);
    this.#bytes[at] = value;
  }

  number(value: number | undefined): void {
    const at = this.#room(8);
    this.#view.setFloat64(at, value ?? nothing);
  }

  text(value: string | undefined): void {
    if (value === undefined) {
      this.#length(noText);
      return;
    }
    // As many as it can be: to count them first would be to encode it twice.
    const at = this.#room(4 + 3 * value.length);
    const length = this.#bytes.write(value, at + 4);
    this.#bytes.writeUInt32BE(length, at);
    this.#at = at + 4 + length;
  }

  bytes(value: Buffer): void {
    this.#length(value.length);
    const at = this.#room(value.length);
    value.copy(this.#bytes, at);
  }

  /** Writes the length of what `write` writes, and that; nothing at all when it throws. */
  sized(write: () => void): void {
    const begin = this.#room(4);
    try {
      write();
    } catch (fault) {
      this.#at = begin;
      throw fault;
    }
    this.#bytes.writeUInt32BE(this.#at - begin - 4, begin);
  }

  /** All that was written; the next begins anew. */
  end(): Buffer {
    const all = Buffer.from(this.#bytes.subarray(0, this.#at));
    this.#at = 0;
    if (this.#bytes.length > 8 * usualBytes) this.#use(Buffer.allocUnsafe(usualBytes));
    return all;
  }

  #length(value: number): void {
    const at = this.#room(4);
    this.#bytes.writeUInt32BE(value, at);
  }

  /** Answers where so many bytes can be written. */
  #room(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    if (this.#at > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(2 * this.#at);
      this.#bytes.copy(larger, 0, 0, at);
      this.#use(larger);
    }
    return at;
  }

  #use(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }
}

/** Everything throws a RangeError beyond the end. */
export class Reader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  get at(): number {
    return this.#at;
  }

  byte(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  number(): number {
    return this.#view.getFloat64(this.#skip(8));
  }

  optional(): number | undefined {
    const value = this.number();
    return Number.isNaN(value) ? undefined : value;
  }

  text(): string | undefined {
    const length = this.#view.getUint32(this.#skip(4));
    if (length === noText) return undefined;
    const at = this.#skip(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  /** Over a text, or over bytes; answers how many. */
  skip(): number {
    const length = this.#view.getUint32(this.#skip(4));
    if (length === noText) return 0;
    this.#skip(length);
    return length;
  }

  /** The same from another place. */
  from(at: number): Reader {
    const other = new Reader(this.#bytes);
    other.#at = at;
    return other;
  }

  /** The same bytes, not a copy. */
  bytes(): Buffer {
    const end = this.sized();
    const at = this.#skip(end - this.#at);
    return this.#bytes.subarray(at, end);
  }

  /** What a writer has `sized` begins here; answers where it ends. */
  sized(): number {
    const length = this.#view.getUint32(this.#skip(4));
    return this.#at + length;
  }

  moveTo(at: number): void {
    this.#at = at;
  }

  #skip(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#bytes.length) throw new RangeError('The bytes end too early.');
    this.#at += bytes;
    return at;
  }
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, Writer } from '#service-bus/store/binary.js';
import { fc } from '../support/properties.ts';

type Value =
  | { kind: 'byte'; value: number }
  | { kind: 'number'; value: number | undefined }
  | { kind: 'text'; value: string | undefined }
  | { kind: 'bytes'; value: Buffer };

const long = { maxLength: 20_000, size: 'max' } as const;
const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ kind: fc.constant('byte' as const), value: fc.nat(255) }),
  fc.record({ kind: fc.constant('number' as const), value: optional(fc.double({ noNaN: true })) }),
  fc.record({
    kind: fc.constant('text' as const),
    value: optional(fc.string({ unit: 'grapheme' })),
  }),
  fc.record({
    kind: fc.constant('bytes' as const),
    value: fc.nat(long.maxLength).map((length) => Buffer.alloc(length, length)),
  }),
);

function write(to: Writer, { kind, value }: Value): void {
  if (kind === 'byte') to.byte(value);
  else if (kind === 'number') to.number(value);
  else if (kind === 'text') to.text(value);
  else to.bytes(value);
}

function read(from: Reader, { kind }: Value): Value['value'] {
  if (kind === 'byte') return from.byte();
  if (kind === 'number') return from.optional();
  return kind === 'text' ? from.text() : from.bytes();
}

const to = new Writer();

test('what is written is read, however large it grows; what failed half-way is not there', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(value, fc.nat(9)), { maxLength: 60, size: 'max' }), (all) => {
      const written: Value[] = [];
      for (const [one, n] of all) {
        const fails = n === 0;
        const put = () =>
          to.sized(() => {
            write(to, one);
            if (fails) throw new Error('half-way');
          });
        if (fails) assert.throws(put, /half-way/);
        else {
          put();
          written.push(one);
        }
      }
      const from = new Reader(to.end());
      for (const one of written) {
        const end = from.sized();
        assert.deepEqual(read(from, one), one.value);
        assert.equal(from.at, end);
      }
      assert.ok(from.isAtEnd);
    }),
    { numRuns: 300 },
  );
});

test('every number of bytes before it is where the next value may grow it', () => {
  for (const kind of ['byte', 'number', 'text', 'bytes'] as const)
    for (let before = 131_072 - 40; before < 131_072 + 4; before++) {
      const to = new Writer();
      to.bytes(Buffer.alloc(before));
      const one = {
        kind,
        value: { byte: 7, number: 7.5, text: 'text', bytes: Buffer.from('b') }[kind],
      };
      write(to, one as Value);
      const from = new Reader(to.end());
      from.bytes();
      assert.deepEqual(read(from, one as Value), one.value, `${kind} after ${before}`);
    }
});

test('bytes that end too early are told', () => {
  const to = new Writer();
  to.text('some text');
  const bytes = to.end();
  for (let length = 0; length < bytes.length; length++)
    assert.throws(() => new Reader(bytes.subarray(0, length)).text(), RangeError);
});

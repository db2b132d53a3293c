/** The store's segments held against what was said of each message when it was last written. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Message, newMessage } from '#service-bus/entity/message.js';
import { Segments } from '#service-bus/store/segments.js';

const limits = { mostEntries: 5, mostBytes: 1000, sparseFrom: 12 };

const message = (sequence: number, bare: string): Message => ({
  ...newMessage(
    {
      ...{ messageId: `m${sequence}`, sessionId: undefined, scheduledFor: undefined },
      ...{ header: { durable: false, priority: undefined, ttl: undefined }, annotations: [] },
      bare: Buffer.from(bare),
    },
    sequence,
    1,
    false,
  ),
});

/** Segments over a store that takes what was set since the last write as one. */
class Kept {
  readonly store = new Map<string, Buffer>();
  readonly #pending = new Map<string, Buffer | undefined | (() => Buffer)>();
  segments = this.#new();
  there = new Map<number, Message>();
  /** What is to be there after a crash. */
  written = new Map<number, [bare: string, deliveries: number]>();

  #new(): Segments {
    const set = (key: string, value: Buffer | undefined | (() => Buffer)) =>
      void this.#pending.set(key, value);
    return new Segments(set, async () => undefined, limits);
  }

  write(): void {
    for (const [key, value] of this.#pending) {
      const bytes = typeof value === 'function' ? value() : value;
      if (bytes) this.store.set(key, bytes);
      else this.store.delete(key);
    }
    this.#pending.clear();
    this.written = this.now();
  }

  now() {
    return new Map(
      [...this.there.values()].map(
        ({ sequence, content, deliveryCount }) =>
          [sequence, [content.bare.toString(), deliveryCount] as [string, number]] as const,
      ),
    );
  }

  /** Killed and started again. */
  crash(): void {
    this.#pending.clear();
    this.segments = this.#new();
    const of = (kind: string) =>
      new Map(
        [...this.store.keys()]
          .filter((key) => key.startsWith(kind))
          .sort()
          .map((key) => [Number(key.slice(2)), this.store.get(key) ?? Buffer.alloc(0)]),
      );
    const { messages, unread } = this.segments.read(of('b/'), of('g/'));
    assert.deepEqual(unread, []);
    this.there = new Map(messages.map((one) => [one.sequence, one]));
    assert.deepEqual(
      [...this.there.keys()],
      [...this.written.keys()].sort((a, b) => a - b),
    );
    assert.deepEqual(
      [...this.now()].sort(([a], [b]) => a - b),
      [...this.written].sort(([a], [b]) => a - b),
    );
  }
}

type Step = { do: 'put' | 'change' | 'rewrite' | 'remove' | 'write' | 'crash'; at: number };
const step = fc.record<Step>({
  do: fc.constantFrom(
    'put',
    'put',
    'put',
    'change',
    'rewrite',
    'remove',
    'remove',
    'write',
    'crash',
  ),
  at: fc.nat(1000),
});

function run(steps: readonly Step[]): Kept {
  const kept = new Kept();
  let next = 1;
  for (const { do: what, at } of steps) {
    const some = [...kept.there.values()];
    const chosen = some[at % Math.max(some.length, 1)];
    if (what === 'write') kept.write();
    if (what === 'crash') kept.crash();
    if (what === 'put') {
      const made = message(next, `body ${next}`);
      kept.there.set(next++, made);
      kept.segments.put(made);
    }
    if (!chosen) continue;
    if (what === 'change') {
      chosen.deliveryCount++;
      kept.segments.change(chosen);
    }
    if (what === 'rewrite') {
      chosen.content = { ...chosen.content, bare: Buffer.from(`again ${at}`) };
      kept.segments.put(chosen);
    }
    if (what === 'remove') {
      kept.there.delete(chosen.sequence);
      kept.segments.remove(chosen);
    }
  }
  return kept;
}

describe('segments', () => {
  test('give back after a crash what was written, whatever came before', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
        const kept = run(steps);
        kept.write();
        kept.crash();
      }),
      { numRuns: 500 },
    );
  });

  test('leave nothing behind, and never keep much more than is there', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 100, maxLength: 400, size: 'max' }), (steps) => {
        const kept = run(steps);
        kept.write();
        kept.write();
        const most = Math.max(limits.sparseFrom, 4 * 2 * kept.there.size) + limits.mostEntries;
        const values = [...kept.store.keys()].filter((key) => key.startsWith('b/')).length;
        assert.ok(values <= most, `${values} segments for ${kept.there.size} messages`);
        for (const one of [...kept.there.values()]) kept.segments.remove(one);
        kept.there.clear();
        kept.write();
        assert.deepEqual([...kept.store.keys()], []);
      }),
      { numRuns: 300 },
    );
  });
});

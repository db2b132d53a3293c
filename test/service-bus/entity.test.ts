/** The broker's small parts by themselves, with a clock that the test moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import rhea from 'rhea';
import {
  formatMessage,
  parseMessage,
  withApplicationProperties,
} from '#service-bus/amqp/message.js';
import type { Clock } from '#service-bus/clock.js';
import { Deadlines } from '#service-bus/entity/deadlines.js';
import { Order } from '#service-bus/entity/order.js';
import { fc } from '../support/properties.ts';

function movedClock(): Clock & { advance(ms: number): void } {
  let now = 0;
  const timers = new Map<number, { at: number; run: () => void }>();
  let next = 0;
  return {
    now: () => now,
    after(delayMs, run) {
      const id = next++;
      timers.set(id, { at: now + Math.max(delayMs, 0), run });
      return () => timers.delete(id);
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const due = [...timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at);
        const [first] = due;
        if (!first) break;
        timers.delete(first[0]);
        now = Math.max(now, first[1].at);
        first[1].run();
      }
      now = end;
    },
  };
}

test('order: whatever comes back, the smallest number is next', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2), { maxLength: 400 }), (moves) => {
      const order = new Order();
      const waiting: number[] = [];
      const taken: number[] = [];
      let fresh = 1;
      for (const move of moves) {
        if (move === 0) {
          order.append(fresh);
          waiting.push(fresh++);
        } else if (move === 1) {
          waiting.sort((a, b) => a - b);
          const expected = waiting.shift();
          assert.equal(order.first(), expected);
          assert.equal(order.shift(), expected);
          if (expected !== undefined) taken.push(expected);
        } else {
          const back = taken.pop();
          if (back === undefined) continue;
          order.putBack(back);
          waiting.push(back);
        }
      }
    }),
  );
});

test('deadlines: each item is due at its time, a moved one at its later time', () => {
  const clock = movedClock();
  const fired: [string, number][] = [];
  const moved = new Map([['b', 500]]);
  const deadlines = new Deadlines<string>(clock, {
    due(item, now) {
      const later = moved.get(item);
      if (later !== undefined && later > now) return later;
      fired.push([item, now]);
      return undefined;
    },
    isOver: () => false,
    failed: (_, fault) => assert.fail(String(fault)),
  });
  deadlines.add(300, 'c');
  deadlines.add(100, 'a');
  deadlines.add(200, 'b');
  clock.advance(250);
  assert.deepEqual(fired, [['a', 100]]);
  clock.advance(1000);
  assert.deepEqual(fired, [
    ['a', 100],
    ['c', 300],
    ['b', 500],
  ]);
});

const plain = fc.oneof(fc.string(), fc.integer(), fc.boolean());
// rhea, which decodes here, makes maps plain objects: they cannot hold this one name.
const name = fc.string({ minLength: 1 }).filter((text) => text !== '__proto__');
const properties = fc.dictionary(name, plain, { maxKeys: 8 });

test('a message is handed on byte for byte, whatever is in it', () => {
  fc.assert(
    fc.property(properties, fc.uint8Array({ maxLength: 2000 }), (application, body) => {
      const sent = rhea.message.encode({
        message_id: 'id',
        application_properties: application,
        message_annotations: { mine: 1, 'x-opt-sequence-number': 99 },
        body: rhea.message.data_section(Buffer.from(body)),
      } as unknown as Parameters<typeof rhea.message.encode>[0]) as unknown as Buffer;
      const content = parseMessage(sent, () => 'never');
      assert.ok(sent.subarray(sent.length - content.bare.length).equals(content.bare));
      const handed = formatMessage({
        content,
        deliveryCount: 3,
        annotations: [['x-opt-sequence-number', 'long', 7]],
      });
      const received = rhea.message.decode(handed) as unknown as Record<string, unknown>;
      assert.equal(received['delivery_count'], 3);
      assert.deepEqual(received['message_annotations'], { mine: 1, 'x-opt-sequence-number': 7 });
      assert.ok(handed.subarray(handed.length - content.bare.length).equals(content.bare));
    }),
  );
});

test('changed application properties leave the others as they were', () => {
  fc.assert(
    fc.property(properties, properties, (before, changes) => {
      const sent = rhea.message.encode({
        application_properties: before,
        body: 'x',
      } as unknown as Parameters<typeof rhea.message.encode>[0]) as unknown as Buffer;
      const { bare } = parseMessage(sent, () => 'given');
      const received = rhea.message.decode(
        withApplicationProperties(bare, changes),
      ) as unknown as Record<string, unknown>;
      assert.deepEqual(
        { ...(received['application_properties'] as object) },
        { ...before, ...changes },
      );
      assert.equal(received['message_id'], 'given');
      assert.equal(received['body'], 'x');
    }),
  );
});

test('random bytes are refused as no message, never a crash', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
      try {
        parseMessage(Buffer.from(bytes), () => 'x');
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }),
  );
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  createIdMaker,
  idOfOccurrence,
  inSlot,
  isId,
  slotOf,
  tableKeyOf,
} from '#longhaul/model/id.js';
import { fc } from '../support/properties.ts';

test('later ids sort first within a process, so that a scan lists the newest job first', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 41), fc.integer({ min: 1, max: 10 ** 9 }), (time, later) => {
      const make = createIdMaker(randomBytes);
      return make(new Date(time + later)) < make(new Date(time));
    }),
  );
});

test('ids of one process within ten seconds share a partition, those of another do not', () => {
  const [one, other] = [
    createIdMaker(() => new Uint8Array(16).fill(1)),
    createIdMaker(randomBytes),
  ];
  const time = new Date('2026-11-21T12:00:00Z');
  const soon = new Date('2026-11-21T12:00:09Z');
  assert.equal(tableKeyOf(one(time)).partition, tableKeyOf(one(soon)).partition);
  assert.notEqual(tableKeyOf(one(time)).partition, tableKeyOf(other(time)).partition);
});

test('an occurrence has the same id whoever makes it', () => {
  const at = new Date('2026-11-21T12:00:00Z');
  assert.equal(idOfOccurrence('nightly', at), idOfOccurrence('nightly', at));
  assert.notEqual(
    idOfOccurrence('nightly', at),
    idOfOccurrence('nightly', new Date(at.getTime() + 1000)),
  );
  assert.ok(isId(idOfOccurrence('nightly', at)));
  assert.notEqual(idOfOccurrence('nightly', at, 'salt'), idOfOccurrence('nightly', at));
});

test('any id that a message brings has a place', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (id) => {
      const { partition, row } = tableKeyOf(id);
      return /^[\w~]+$/.test(partition) && /^\w+$/.test(row);
    }),
  );
});

test('an id is put into any slot of any limit, evenly, and says so itself', () => {
  const newId = createIdMaker(randomBytes);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.nat(),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (count, n, random) => {
        const id = inSlot(newId(new Date()), n % count, count, random);
        assert.ok(isId(id));
        assert.equal(slotOf(id, count), n % count);
        assert.equal(slotOf(id, 1), 0);
      },
    ),
  );
});

test("an id of the sender's own has a slot too, always the same", () => {
  for (const id of ['order-1', 'order-2', 'x']) {
    assert.ok(slotOf(id, 7) < 7);
    assert.equal(slotOf(id, 7), slotOf(id, 7));
  }
});

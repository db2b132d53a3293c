import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Outage } from '#dev/functions-host/host/outage.js';

const gone = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const lost = Object.assign(new Error('The lock is lost'), { code: 'SessionLockLost' });

function outage() {
  const lines: string[] = [];
  const log = (level: string, message: string) => {
    if (level !== 'debug') lines.push(message);
  };
  return { lines, bus: new Outage('ServiceBus', log) };
}

test('however many notice that the bus is gone: a line when it goes, a line when it is back', () => {
  const { lines, bus } = outage();
  for (let n = 0; n < 100; n++) assert.ok(bus.explains(gone()));
  for (let n = 0; n < 100; n++) bus.reached();
  assert.equal(lines.length, 2, lines.join('\n'));
  assert.match(lines[0] ?? '', /^ServiceBus is out of reach: .*ECONNREFUSED/);
  assert.match(lines[1] ?? '', /^ServiceBus is back after \d+ s/);
});

test('what began before the bus was back says nothing of now', () => {
  const { lines, bus } = outage();
  const began = Date.now() - 1;
  bus.explains(gone());
  bus.reached();
  assert.ok(bus.explains(gone(), began));
  assert.equal(lines.length, 2);
});

test('a lock that is lost is nothing to tell; another error is told by who met it', () => {
  const { lines, bus } = outage();
  assert.ok(bus.explains(lost));
  assert.ok(
    !bus.explains(Object.assign(new Error('No such queue'), { code: 'MessagingEntityNotFound' })),
  );
  assert.deepEqual(lines, []);
});

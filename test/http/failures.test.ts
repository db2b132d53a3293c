import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownFrameOf } from '#longhaul/operate/failures.js';

test('the line of the app that failed, without folders, Node and libraries', () => {
  const stack = (...lines: string[]) =>
    ['Error: x', ...lines.map((line) => `    at ${line}`)].join('\n');
  for (const [given, expected] of [
    [
      stack('Object.run (file:///home/site/dist/jobs/export.js:12:9)'),
      'export.js:12 in Object.run',
    ],
    [
      stack(
        'async open (node:internal/fs/promises:604:10)',
        'request (/app/node_modules/undici/index.js:1:1)',
        'async readOrders (/home/site/orders.js:7:3)',
      ),
      'orders.js:7 in readOrders',
    ],
    [stack('file:///C:/app/jobs/report.ts:3:11'), 'report.ts:3'],
    [stack('C:\\app\\jobs\\report.ts:3:11'), 'report.ts:3'],
    [stack('process.processTicksAndRejections (node:internal/process/task_queues:95:5)'), ''],
    ['', ''],
    ['no stack at all', ''],
  ] as const)
    assert.equal(ownFrameOf(given), expected);
});

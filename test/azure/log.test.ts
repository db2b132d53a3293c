import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { log } from '#longhaul/azure/log.js';

/** As the host does with what a worker writes (Functions host 4.1037, WorkerProcess.cs). */
function levelInAzure(line: string, stream: 'stdout' | 'stderr'): string {
  if (stream === 'stdout') return 'Information';
  if (/warn/i.test(line)) return 'Warning';
  return /error|fail|severe/i.test(line) ? 'Error' : 'Information';
}

test('outside an invocation every line keeps its level in Azure', () => {
  const lines: string[] = [];
  const streams = { info: 'stdout', warn: 'stderr', error: 'stderr' } as const;
  const silenced = (Object.keys(streams) as (keyof typeof streams)[]).map((level) =>
    mock.method(console, level, (text: string) => {
      for (const line of text.split('\n')) lines.push(levelInAzure(line, streams[level]));
    }),
  );
  try {
    log('info', 'all is well');
    log('warn', 'it is slow');
    log('error', 'storage is gone', { error: new TypeError('no\nlonger there') });
  } finally {
    for (const { mock: of } of silenced) of.restore();
  }
  const [info, warn, ...errors] = lines;
  assert.deepEqual([info, warn], ['Information', 'Warning']);
  assert.ok(errors.length > 3, 'the stack too');
  assert.deepEqual(new Set(errors), new Set(['Error']));
});

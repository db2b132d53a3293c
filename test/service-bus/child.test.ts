import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { startChild } from '#service-bus/child.js';
import { isAlive } from '../support/alive.ts';
import { until } from '../support/until.ts';

test('a process that does not come to be ready is ended, with the reason', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'child-'));
  try {
    const file = join(folder, 'waits.mjs');
    await writeFile(file, 'process.send({ pid: process.pid }); setInterval(() => {}, 1000);');
    let pid = 0;
    const onMessage = (message: unknown) => {
      pid = (message as { pid: number }).pid;
    };
    const readyWithin = { ms: 3_000, why: 'it waits' };
    const started = startChild('It', pathToFileURL(file), [], { onMessage, readyWithin });
    await assert.rejects(started, /^Error: it waits$/);
    assert.ok(pid > 0);
    await until('it is gone', async () => !(await isAlive(pid)));
  } finally {
    await rm(folder, { recursive: true });
  }
});

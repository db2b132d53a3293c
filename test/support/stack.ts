import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePorts } from '#dev/stack/ports.js';
import { type Stack, type StackOptions, startStack } from '#dev/stack/stack.js';

export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** A stack of its own on free ports, with the test's job types beside the real ones. */
export async function testStack(
  options: Partial<StackOptions> = {},
): Promise<Stack & { options: StackOptions; remove(): Promise<void> }> {
  const [http = 0, serviceBus = 0, blob = 0, queue = 0, table = 0] = await freePorts(5);
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'longhaul-')));
  const full: StackOptions = {
    root,
    data,
    host: '127.0.0.1',
    ports: { http, serviceBus, blob, queue, table },
    main: 'dist/test/support/app.js',
    ...options,
  };
  const stack = await startStack(full);
  return {
    ...stack,
    options: full,
    async remove() {
      await stack.stop();
      await rm(data, { recursive: true, force: true });
    },
  };
}

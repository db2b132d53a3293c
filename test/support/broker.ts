/** The broker as a process of its own, that can be killed. */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '#dev/stack/ports.js';
import { type StartedChild, startChild } from '#service-bus/child.js';

export async function brokerProcess(topology: object, { durable = false } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-broker-'));
  const file = join(folder, 'topology.json');
  await writeFile(file, JSON.stringify(topology));
  const [port = 0] = await freePorts(1);
  const data = durable ? ['--data', join(folder, 'data')] : [];
  const start = () =>
    startChild<{ connectionString: string }>(
      'broker',
      new URL(import.meta.resolve('#service-bus/process.js')),
      ['--topology', file, '--port', String(port), ...data],
    );
  let child: StartedChild<{ connectionString: string }> = await start();
  return {
    port,
    folder,
    connectionString: child.ready.connectionString,
    get isUp() {
      return child.process.exitCode === null && child.process.signalCode === null;
    },
    /** Resident memory in bytes; 0 where there is no /proc to ask. */
    memory: () => {
      const status = `/proc/${child.process.pid}/status`;
      if (!existsSync(status)) return 0;
      return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(status, 'utf8'))?.[1]) * 1024;
    },
    async kill() {
      const gone = once(child.process, 'exit');
      child.process.kill('SIGKILL');
      await gone;
    },
    async restart() {
      child = await start();
    },
    async remove() {
      await child.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

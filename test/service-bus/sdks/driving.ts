/** One driver, one way, one broker of its own, durable and on an address of its own. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { type Broker, type BrokerOptions, start } from '#service-bus/start.js';
import type { Brief, Said, Verdict } from './brief.ts';
import type { Driver, Places } from './drivers.ts';
import { alone, sideBySide } from './scenarios/all.ts';
import type { Scenario, Way } from './steps.ts';

export const execute = promisify(execFile);

// Some SDKs know no other port.
const ports: Record<Way, number> = { emulator: 5672, tls: 5671, websockets: 5671 };
const longestMs = 180_000;

export interface Where extends Places {
  folder: string;
  host: string;
  certificate: { ca: string; tls: NonNullable<BrokerOptions['tls']> };
}

export interface Outcome {
  passed: number;
  failed: Verdict[];
}

/** The scenarios of a driver in one way. */
function scenariosOf({ language }: Driver, way: Way, all: readonly Scenario[]): Scenario[] {
  return all.filter(
    ({ without = [] }) => !without.includes(language) && !without.includes(`${language} ${way}`),
  );
}

function briefOf(driver: Driver, way: Way, { host, certificate }: Where): Brief {
  const port = ports[way];
  const key = 'SharedAccessKeyName=a;SharedAccessKey=Yg==';
  const development = way === 'emulator' ? ';UseDevelopmentEmulator=true' : '';
  const only = ({ name, steps }: Scenario) => ({ name, steps });
  return {
    ...{ way, host, port },
    connection: `Endpoint=sb://${host};${key}${development}`,
    administration: `Endpoint=sb://${host}:${port};${key}${development}`,
    ca: way === 'emulator' ? null : certificate.ca,
    sideBySide: scenariosOf(driver, way, sideBySide).map(only),
    alone: scenariosOf(driver, way, alone).map(only),
  };
}

export async function drive(driver: Driver, way: Way, where: Where): Promise<Outcome> {
  const brief = briefOf(driver, way, where);
  const name = `${driver.language}-${way}`;
  const file = join(where.folder, `${name}.json`);
  await writeFile(file, JSON.stringify(brief));
  const all = [...sideBySide, ...alone];
  const options: BrokerOptions = {
    ...{ host: where.host, port: brief.port, data: join(where.folder, name) },
    queues: all.flatMap(({ queues }) => queues ?? []),
    topics: all.flatMap(({ topics }) => topics ?? []),
    ...(way === 'emulator' ? {} : { tls: where.certificate.tls }),
  };
  const broker = { running: await start(options) };
  try {
    const { command, env } = driver.command({
      ...{ sources: where.sources, cache: where.cache, brief: file },
      ca: brief.ca ?? undefined,
    });
    const verdicts = await heard(command, env, broker, () => start(options));
    return judged(brief, verdicts);
  } finally {
    await broker.running.close();
  }
}

/** Runs a driver to its end, and restarts the broker when it asks. */
async function heard(
  [command, ...args]: string[],
  env: Record<string, string>,
  broker: { running: Broker },
  again: () => Promise<Broker>,
): Promise<Verdict[]> {
  const child = spawn(command ?? '', args, {
    ...{ env: { ...process.env, ...env }, timeout: longestMs, killSignal: 'SIGKILL' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  const verdicts: Verdict[] = [];
  for await (const line of createInterface(child.stdout)) {
    if (!line.startsWith('{"')) continue;
    const said = JSON.parse(line) as Said;
    if ('restart' in said) {
      await broker.running.close();
      broker.running = await again();
      child.stdin.write('\n');
    } else verdicts.push(said);
  }
  await gone;
  return verdicts;
}

function judged(brief: Brief, verdicts: Verdict[]): Outcome {
  const failed = verdicts.filter(({ why }) => why !== null);
  const missing = [...brief.sideBySide, ...brief.alone]
    .filter(({ name }) => !verdicts.some((verdict) => verdict.name === name))
    .map(({ name }) => ({ name, why: 'it was not reached' }));
  return { passed: verdicts.length - failed.length, failed: [...failed, ...missing] };
}

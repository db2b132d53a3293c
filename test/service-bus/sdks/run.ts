/**
 * `npm run test:sdks [LANGUAGE…]`: the makers' SDKs of other languages against the broker, all through
 * the one list in scenarios.json, by emulator connection string and by TLS. A language that is not
 * installed is left out.
 */
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { generate } from 'selfsigned';
import { type BrokerOptions, start } from '#service-bus/start.js';
import { type Driver, drivers } from './drivers.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../../', import.meta.url));
const sources = join(root, 'test/service-bus/sdks');
// Packages stay from one run to the next.
const cache = join(root, '.longhaul/sdks');

interface Verdict {
  name: string;
  /** Null when it went well. */
  why: string | null;
}

async function certificate(folder: string) {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    extensions: [
      { name: 'basicConstraints', cA: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  const ca = join(folder, 'ca.pem');
  await writeFile(ca, made.cert);
  return { ca, tls: { cert: made.cert, key: made.private } };
}

async function drive(
  driver: Driver,
  options: BrokerOptions,
  ca: string | undefined,
): Promise<Verdict[]> {
  // Some of them know the standard port only, with TLS.
  const port = ca ? 5671 : 5672;
  const broker = await start({ ...options, port, host: '127.0.0.1' });
  const connection = ca
    ? 'Endpoint=sb://localhost/;SharedAccessKeyName=a;SharedAccessKey=Yg=='
    : 'Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=Yg==;UseDevelopmentEmulator=true';
  try {
    for (const [trust, ...how] of (ca && driver.trust?.(ca)) || []) await run(trust ?? '', how);
    const { command, args, env } = driver.command({ sources, cache, connection, ca });
    const child = spawn(command, args, {
      env: {
        ...process.env,
        ADMINISTRATION: connection.replace('localhost', `localhost:${port}`),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = new Promise((resolve) => child.on('exit', resolve));
    const verdicts: Verdict[] = [];
    for await (const line of createInterface(child.stdout))
      if (line.startsWith('{"name"')) verdicts.push(JSON.parse(line) as Verdict);
    await gone;
    return verdicts;
  } finally {
    await broker.close();
  }
}

/** What is installed, or why it is not used. */
async function prepared(driver: Driver): Promise<string | undefined> {
  try {
    await run(driver.needs[0] ?? '', driver.needs.slice(1));
  } catch {
    return 'is not installed here';
  }
  try {
    await mkdir(cache, { recursive: true });
    for (const [command, ...args] of driver.prepare(sources, cache))
      await run(command ?? '', args, { maxBuffer: 64 * 1024 * 1024 });
    return undefined;
  } catch (fault) {
    return `could not be prepared: ${(fault as Error).message.slice(0, 500)}`;
  }
}

const say = (line: string) => process.stdout.write(`${line}\n`);

const wanted = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'longhaul-sdks-'));
try {
  const { scenarios, queues, topics } = JSON.parse(
    await readFile(join(sources, 'scenarios.json'), 'utf8'),
  ) as BrokerOptions & { scenarios: { name: string; without?: string[] }[] };
  const { ca, tls } = await certificate(folder);
  for (const driver of drivers) {
    if (wanted.length > 0 && !wanted.includes(driver.language)) continue;
    const why = await prepared(driver);
    if (why) {
      say(`${driver.language} ${why}: left out`);
      continue;
    }
    for (const way of ['emulator', 'tls'] as const) {
      if (!driver.ways.includes(way)) continue;
      // What a language's SDK cannot do, or does not tell its user, is no scenario of it.
      const cannot = [driver.language, `${driver.language} ${way}`];
      const mine = scenarios.filter(({ without }) => !without?.some((one) => cannot.includes(one)));
      const options = { queues, topics, ...(way === 'tls' ? { tls } : {}) };
      const all = await drive(driver, options, way === 'tls' ? ca : undefined);
      const verdicts = all.filter(({ name }) => mine.some((one) => one.name === name));
      const bad = verdicts.filter((verdict) => verdict.why !== null);
      const missing = mine.length - verdicts.length;
      say(
        `${driver.language}, ${way}: ${verdicts.length - bad.length} of ${mine.length} scenarios`,
      );
      for (const { name, why: because } of bad) say(`  not: ${name}: ${because}`);
      if (missing > 0) say(`  ${missing} were not reached`);
      if (bad.length > 0 || missing > 0) process.exitCode = 1;
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

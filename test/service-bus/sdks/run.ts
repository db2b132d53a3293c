/**
 * `npm run test:sdks [LANGUAGE…]`: the makers' SDKs of other languages and a plain AMQP client against
 * the broker, all through the one list in `scenarios/`, by emulator connection string, by TLS and by
 * WebSockets. The languages run side by side. One that is not installed is left out with a line.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generate } from 'selfsigned';
import { type Driver, drivers, type Places } from './drivers.ts';
import { drive, execute, type Where } from './driving.ts';
import { alone, sideBySide } from './scenarios/all.ts';
import { type Way, ways } from './steps.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const places: Places = {
  sources: join(root, 'test/service-bus/sdks'),
  cache: join(root, 'node_modules/.cache/longhaul-sdks'),
};

const say = (line: string) => process.stdout.write(`${line}\n`);

/**
 * Each driver has an address of this machine of its own for each way, for some SDKs know the standard
 * ports only; by the process, so that two runs on one machine are not in each other's way.
 */
function addressOf(driver: Driver, way: Way): string {
  const own = process.pid % 60_000;
  const n = drivers.indexOf(driver) * ways.length + ways.indexOf(way);
  return `127.${1 + Math.floor(own / 250)}.${1 + (own % 250)}.${n + 2}`;
}
const addresses = drivers.flatMap((driver) => ways.map((way) => addressOf(driver, way)));

async function certificateIn(folder: string): Promise<Where['certificate']> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: addresses.map((ip) => ({ type: 7, ip })) },
    ],
  });
  const ca = join(folder, 'ca.pem');
  await writeFile(ca, made.cert);
  return { ca, tls: { cert: made.cert, key: made.private } };
}

/** What the cache of a driver was made of. */
async function stampOf(driver: Driver): Promise<string> {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([driver.fetch(places), driver.build(places)]));
  for (const input of driver.inputs) {
    const path = join(places.sources, input);
    const isFolder = (await stat(path)).isDirectory();
    const files = isFolder ? (await readdir(path)).sort().map((file) => join(path, file)) : [path];
    for (const file of files) hash.update(await readFile(file));
  }
  return hash.digest('hex');
}

class LeftOut extends Error {}

/** @throws LeftOut when the language or its packages are not to be had */
async function prepare(driver: Driver): Promise<void> {
  const [needed, ...how] = driver.needs;
  await execute(needed, how).catch(() => {
    throw new LeftOut('is not installed here');
  });
  const stamp = await stampOf(driver);
  const file = join(places.cache, `${driver.language}.stamp`);
  if ((await readFile(file, 'utf8').catch(() => '')) === stamp) return;
  const most = { maxBuffer: 64 * 1024 * 1024 };
  for (const [command, ...args] of driver.fetch(places))
    await execute(command, args, { ...most, timeout: 240_000 }).catch((fault: Error) => {
      throw new LeftOut(`has no packages here: ${fault.message.slice(0, 500)}`);
    });
  for (const [command, ...args] of driver.build(places)) await execute(command, args, most);
  await writeFile(file, stamp);
}

/** Answers how many scenarios went well and how many did not. */
async function driveAll(
  driver: Driver,
  where: Omit<Where, 'host'>,
): Promise<[passed: number, failed: number]> {
  const { language } = driver;
  try {
    await prepare(driver);
  } catch (fault) {
    if (!(fault instanceof LeftOut)) throw fault;
    say(`${language} ${fault.message}: left out`);
    return [0, 0];
  }
  const sum: [number, number] = [0, 0];
  const driveOne = async (way: Way) => {
    const from = Date.now();
    const host = addressOf(driver, way);
    const { passed, failed } = await drive(driver, way, { ...where, host });
    const seconds = ((Date.now() - from) / 1000).toFixed(0);
    say(`${language}, ${way}: ${passed} of ${passed + failed.length} scenarios in ${seconds} s`);
    for (const { name, why } of failed) say(`  not: ${name}: ${why}`);
    sum[0] += passed;
    sum[1] += failed.length;
  };
  if (driver.waits) await Promise.all(driver.ways.map(driveOne));
  else for (const way of driver.ways) await driveOne(way);
  return sum;
}

/** Scenarios run side by side: what one has is its own. */
function checkApart(): void {
  const names = [...sideBySide, ...alone].flatMap(({ queues = [], topics = [] }) =>
    [...queues, ...topics].map(({ name }) => name),
  );
  const twice = names.filter((name, n) => names.indexOf(name) !== n);
  if (twice.length > 0) throw new Error(`Two scenarios share ${twice.join(', ')}.`);
}

const wanted = process.argv.slice(2);
checkApart();
await mkdir(places.cache, { recursive: true });
const folder = await mkdtemp(join(tmpdir(), 'longhaul-sdks-'));
try {
  const certificate = await certificateIn(folder);
  for (const { trust } of drivers)
    for (const [command, ...args] of trust?.(certificate.ca) ?? [])
      await execute(command, args).catch(() => undefined);
  const chosen = drivers.filter(({ language }) => wanted.length === 0 || wanted.includes(language));
  const where = { ...places, folder, certificate };
  let [passed, failed] = [0, 0];
  const inTurn = async (some: readonly Driver[]) => {
    for (const driver of some) {
      const [well, not] = await driveAll(driver, where);
      [passed, failed] = [passed + well, failed + not];
    }
  };
  // Those of Node wait for nothing: one after the other, or the others' handshakes take too long.
  const isOfNode = ({ inputs }: Driver) => inputs.length === 0;
  const others = chosen.filter((driver) => !isOfNode(driver));
  await Promise.all([chosen.filter(isOfNode), ...others.map((one) => [one])].map(inTurn));
  say(`${passed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

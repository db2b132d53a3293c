/** `npm start`: the stack, one line for each part, until Ctrl-C. */
import { portSettings, type Stack, startStack } from '../stack/stack.ts';
import { say } from './say.ts';

const { env } = process;

const port = (setting: string, fallback: number): number => {
  const value = Number(env[setting] ?? fallback);
  if (Number.isInteger(value) && value > 0 && value < 65_536) return value;
  throw new Error(`${setting}=${env[setting]} is no port: give a number from 1 to 65535.`);
};

const startHere = (main: string | undefined): Promise<Stack> =>
  startStack({
    root: process.cwd(),
    ...(main === undefined ? {} : { main }),
    data: env['LONGHAUL_DATA'] ?? '.longhaul',
    host: env['HOST'] ?? '127.0.0.1',
    ports: {
      http: port(portSettings.http, 7071),
      serviceBus: port(portSettings.serviceBus, 5672),
      blob: port(portSettings.blob, 10_000),
      queue: port(portSettings.queue, 10_001),
      table: port(portSettings.table, 10_002),
    },
  });

/** What the app serves; none when it has no API. */
async function typesOf(url: string): Promise<string[]> {
  const answer = await fetch(`${url}/api/job-types`).catch(() => undefined);
  if (!answer?.ok) return [];
  return ((await answer.json()) as { type: string }[]).map(({ type }) => type);
}

async function tell(stack: Stack): Promise<void> {
  const types = await typesOf(stack.url);
  say(`API          ${stack.url}/api/jobs`);
  if (types.includes('report')) say(`Example      ${stack.url}/api/examples/report-ready`);
  if (types.length > 0) say(`Job types    ${types.join(', ')}`);
  say(`Service Bus  ${stack.serviceBus}`);
  // Whole, to be copied: the key is Azurite's well-known one and opens nothing else.
  say(`Storage      ${stack.storage}`);
}

/** The stack of this folder's app until Ctrl-C. What keeps it from starting is told, and ends the process. */
export async function start(main?: string): Promise<Stack> {
  const began = Date.now();
  let stack: Stack;
  const patience = setTimeout(
    () =>
      say(
        'Still starting after 20 s: does something that the app imports wait for what is not there?',
      ),
    20_000,
  );
  try {
    stack = await startHere(main);
  } catch (error) {
    // What is wrong, not where in our code it was noticed.
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(1);
  } finally {
    clearTimeout(patience);
  }
  await tell(stack);
  say(`Ready in ${((Date.now() - began) / 1000).toFixed(1)} s. Ctrl-C stops everything.`);
  endWith(stack);
  return stack;
}

function endWith(stack: Stack): void {
  let stopping = false;
  const stop = async (code: number) => {
    if (stopping) return;
    stopping = true;
    say('\nStopping: running jobs get their grace period …');
    await stack.stop();
    say('Stopped.');
    process.exit(code);
  };
  process.on('SIGINT', () => void stop(0));
  process.on('SIGTERM', () => void stop(0));
  void stack.ended.then((part) => {
    if (!stopping) say(`${part} ended unexpectedly.`);
    return stop(1);
  });
}

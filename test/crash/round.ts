/** One crash round: a mixed load under way, parts that fail and come back, all counted. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { inspect } from 'node:util';
import { receiveCallbacks } from '../outbound/receive-callback.ts';
import { createClient, type Status } from '../support/client.ts';
import { crashableStack } from '../support/crashable.ts';
import { blows, type Fault, meet, needsProxies } from './faults.ts';
import {
  type Accepted,
  allEnd,
  beginSchedule,
  countRepeats,
  eachOccurrenceOnce,
  endOf,
  limitKept,
  noEqualPair,
  oneCallbackEach,
  oneReplyEach,
  orderKept,
  totalsAddUp,
} from './judge.ts';
import { insist, type Kind, kinds } from './load.ts';

export interface RoundResult {
  accepted: number;
  repeatedSteps: number;
  occurrences: number;
  callbacks: number;
  /** The job that took longest from its submit to its end. */
  slowest: string;
  seconds: number;
}

export interface RoundOptions {
  /** Between two submits. */
  everyMs?: number;
  /** Of every queue; `own` leaves what topology.json says. */
  lock?: string;
  random?: () => number;
}

// A frozen part must outlive every lock; a minute each would be too long to try often.
const frozenLock = 'PT5S';
// With a minute each round would wait that long for the last lock of a part that is gone.
const roundsLock = 'PT15S';

/** @throws AssertionError when a promise is broken */
export async function crashRound(
  jobs: number,
  faults: readonly Fault[],
  { everyMs = 8, lock, random = Math.random }: RoundOptions = {},
): Promise<RoundResult> {
  const began = Date.now();
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-crash-'));
  const receiver = await callbackReceiver();
  const isFrozen = faults.some(({ kind }) => kind === 'freeze');
  const lockDuration = lock ?? (isFrozen ? frozenLock : roundsLock);
  const stack = await crashableStack(join(folder, 'data'), {
    settings: { CALLBACK_SECRET: receiver.secret },
    ...(lockDuration === 'own' ? {} : { lockDuration }),
    ...(needsProxies(faults) ? { proxied: random } : {}),
  });
  try {
    const client = createClient(stack.url);
    const accepted: Accepted[] = [];
    const load = { all: kinds(folder), jobs, everyMs, callback: receiver.url };
    await beginSchedule(client);
    await Promise.all([
      submitAll(client, load, accepted),
      meet(stack, faults, () => accepted.length),
    ]);
    const ended = new Map<string, Status>();
    for (const { id, kind, n } of accepted) {
      const status = await endOf(client, id);
      load.all[kind]?.check(status, n);
      ended.set(id, status);
    }
    const occurrences = await eachOccurrenceOnce(client);
    await allEnd(client);
    const called = accepted.filter(({ kind }) => load.all[kind]?.callsBack);
    await oneCallbackEach(receiver.told, new Set(called.map(({ id }) => id)));
    await oneReplyEach(stack.serviceBus, accepted);
    noEqualPair(ended, accepted);
    totalsAddUp(ended);
    await limitKept(join(folder, 'limited'), faults);
    await orderKept(join(folder, 'ordered'), faults);
    return {
      accepted: accepted.length,
      repeatedSteps: await countRepeats(join(folder, 'counting'), blows(faults)),
      occurrences,
      callbacks: called.length,
      slowest: slowestOf([...ended.values()]),
      seconds: (Date.now() - began) / 1000,
    };
  } catch (error) {
    // What fails in the tidying up, with parts still starting, is not to hide it.
    process.stderr.write(`The round ends with ${inspect(error)}\n`);
    throw error;
  } finally {
    await stack.stop();
    receiver.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

function slowestOf(ended: readonly Status[]): string {
  const took = ({ createdAt, finishedAt }: Status) =>
    Date.parse(String(finishedAt)) - Date.parse(createdAt);
  const [slowest] = [...ended].sort((a, b) => took(b) - took(a));
  return slowest ? `${slowest.type} ${slowest.id} ${took(slowest) / 1000} s` : 'none';
}

async function callbackReceiver() {
  const secret = `whsec_${Buffer.alloc(32, 'crash').toString('base64')}`;
  const told: { subject?: string }[] = [];
  const server = receiveCallbacks(secret, (event) => told.push(event));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { secret, told, url: `http://127.0.0.1:${port}/told`, close };
}

interface Load {
  all: readonly Kind[];
  jobs: number;
  everyMs: number;
  callback: string;
}

async function submitAll(
  client: ReturnType<typeof createClient>,
  { all, jobs, everyMs, callback }: Load,
  accepted: Accepted[],
): Promise<void> {
  await Promise.all(
    Array.from({ length: jobs }, async (_, at) => {
      await pause(at * everyMs);
      const [kind, n] = [at % all.length, Math.floor(at / all.length)];
      const { type, input, afterwards, callsBack } = all[kind] ?? assert.fail();
      const body = {
        ...{ type, input: input(n), replyTo: 'replies', correlationId: `c${at}` },
        ...(callsBack ? { callback: { url: callback } } : {}),
      };
      const response = await insist(() => client.post(body, { 'idempotency-key': `job ${at}` }));
      const status = (await response.json()) as Status;
      assert.ok(response.ok, JSON.stringify(status));
      accepted.push({ id: status.id, kind, n });
      await afterwards?.(client, status.id);
    }),
  );
}

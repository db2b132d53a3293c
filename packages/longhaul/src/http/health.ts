import type { Clock, Log } from '../ports.ts';
import { json, registerRoute } from './route.ts';

interface Health {
  clock: Clock;
  log: Log;
  /** Asks storage something cheap. */
  ask(): Promise<unknown>;
}

// Anybody may probe: however many do, storage is asked no more often.
const askEveryMs = 5_000;
const patienceMs = 2_000;

/** Probes: `live` says that the process answers, `ready` that storage does too. */
export function registerHealth(health: Health): void {
  registerRoute({
    name: 'health-live',
    method: 'GET',
    path: 'health/live',
    handle: async () => json(200, { status: 'live' }),
    doc: { summary: 'The process answers', answers: { 200: 'Health' } },
  });
  const isReady = atMostEvery(health);
  registerRoute({
    name: 'health-ready',
    method: 'GET',
    path: 'health/ready',
    handle: async () =>
      (await isReady())
        ? json(200, { status: 'ready' })
        : json(503, { status: 'not ready', detail: 'Storage does not answer.' }),
    doc: { summary: 'Storage answers too', answers: { 200: 'Health', 503: 'Health' } },
  });
}

/** Whether storage answered when it was last asked. */
export function atMostEvery({ clock, log, ask }: Health): () => Promise<boolean> {
  let last: { at: number; answer: Promise<boolean> } | undefined;
  return () => {
    const now = clock.now().getTime();
    if (!last || now - last.at >= askEveryMs)
      last = { at: now, answer: answers({ clock, log, ask }) };
    return last.answer;
  };
}

function answers({ clock, log, ask }: Health): Promise<boolean> {
  return new Promise((resolve) => {
    const failed = (why: string) => {
      log('warn', `not ready: ${why}`);
      resolve(false);
    };
    const cancel = clock.after(patienceMs, () => failed('storage does not answer'));
    ask().then(
      () => {
        cancel();
        resolve(true);
      },
      (error) => {
        cancel();
        failed(`storage: ${(error as Error).message}`);
      },
    );
  });
}

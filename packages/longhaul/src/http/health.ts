import type { Clock, Log } from '../ports.ts';
import { json, registerRoute } from './route.ts';

interface Health {
  clock: Clock;
  log: Log;
  /** What the app needs, by name: each asks something cheap. */
  needs: Record<string, () => Promise<unknown>>;
}

// Anybody may probe: however many do, nothing is asked more often.
const askEveryMs = 5_000;
const patienceMs = 2_000;

/** Probes: `live` says that the process answers, `ready` that what it needs does too. */
export function registerHealth(health: Health): void {
  registerRoute({
    name: 'health-live',
    method: 'GET',
    path: 'health/live',
    handle: async () => json(200, { status: 'live' }),
    doc: { summary: 'The process answers', answers: { 200: 'Health' } },
  });
  const silent = atMostEvery(health);
  registerRoute({
    name: 'health-ready',
    method: 'GET',
    path: 'health/ready',
    handle: async () => {
      const missing = await silent();
      if (missing.length === 0) return json(200, { status: 'ready' });
      const detail = `No answer from: ${missing.join(', ')}.`;
      return json(503, { status: 'not ready', detail, missing });
    },
    doc: {
      summary: 'Storage and the bus answer too, each within two seconds',
      answers: { 200: 'Health', 503: 'Health' },
    },
  });
}

/** Which of the needs did not answer when they were last asked. */
export function atMostEvery(health: Health): () => Promise<string[]> {
  let last: { at: number; answer: Promise<string[]> } | undefined;
  return () => {
    const now = health.clock.now().getTime();
    if (!last || now - last.at >= askEveryMs) last = { at: now, answer: askAll(health) };
    return last.answer;
  };
}

async function askAll(health: Health): Promise<string[]> {
  const names = Object.keys(health.needs);
  const answers = await Promise.all(names.map((name) => answersInTime(health, name)));
  return names.filter((_, at) => !answers[at]);
}

function answersInTime({ clock, log, needs }: Health, name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const failed = (why: string) => {
      log('warn', `not ready: ${name} ${why}`);
      resolve(false);
    };
    const cancel = clock.after(patienceMs, () => failed('does not answer'));
    (needs[name] as () => Promise<unknown>)().then(
      () => {
        cancel();
        resolve(true);
      },
      (error) => {
        cancel();
        failed(`refuses: ${(error as Error).message}`);
      },
    );
  });
}

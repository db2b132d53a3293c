import { json, registerRoute } from './route.ts';

/** Probes: `live` says that the process answers, `ready` that storage does too. */
export function registerHealth(isReady: () => Promise<void>): void {
  registerRoute({
    name: 'health-live',
    method: 'GET',
    path: 'health/live',
    handle: async () => json(200, { status: 'live' }),
    doc: { summary: 'The process answers', answers: { 200: 'Health' } },
  });
  registerRoute({
    name: 'health-ready',
    method: 'GET',
    path: 'health/ready',
    handle: async () => {
      try {
        await isReady();
        return json(200, { status: 'ready' });
      } catch (error) {
        return json(503, { status: 'not ready', detail: (error as Error).message });
      }
    },
    doc: { summary: 'Storage answers too', answers: { 200: 'Health', 503: 'Health' } },
  });
}

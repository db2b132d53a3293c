/** What lives through a restart of the broker. Each runs when the others are done, one after another. */
import { bodies, receive, type Scenario, send, session, take } from '../steps.ts';

export const restarts: Scenario[] = [
  {
    name: 'messages, numbers and states survive a restart',
    queues: [
      { name: 'lasting' },
      { name: 'lasting-sessions', requiresSession: true },
      { name: 'lasting-later' },
    ],
    steps: [
      send('lasting', ...bodies('a', 'b', 'c')),
      receive('lasting', [{ body: 'a' }], { settle: 'abandon' }),
      receive('lasting', [{ body: 'a' }]),
      receive('lasting', [{ body: 'b' }], { settle: 'defer', keep: 'b' }),
      { do: 'schedule', to: 'lasting-later', message: { body: 'soon' }, afterMs: 1000, keep: 's' },
      send('lasting-sessions', { body: 'x', session: 'S' }),
      session('lasting-sessions', 'S', [{ do: 'set', state: 'kept' }]),
      { do: 'restart' },
      receive('lasting', [{ body: 'c', deliveries: 0 }]),
      { do: 'deferred', from: 'lasting', kept: 'b', expect: [{ body: 'b' }] },
      receive('lasting-later', [{ body: 'soon' }]),
      session('lasting-sessions', 'S', [{ do: 'get', state: 'kept' }, take([{ body: 'x' }])]),
    ],
  },
];

/** Sessions: who holds which, their order, state and list. */
import { bodies, fails, receive, type Scenario, send, session, take } from '../steps.ts';

const of = (id: string, ...all: string[]) => all.map((body) => ({ body, session: id }));

export const sessions: Scenario[] = [
  {
    name: 'a session by its id, in order',
    queues: [{ name: 'by-id', requiresSession: true }],
    steps: [
      send('by-id', ...of('A', 's1'), ...of('B', 'other'), ...of('A', 's2', 's3')),
      session('by-id', 'A', [take([{ body: 's1', session: 'A' }, ...bodies('s2', 's3')])]),
      session('by-id', 'B', [take([{ body: 'other' }])]),
    ],
  },
  {
    name: 'the next session',
    queues: [{ name: 'next', requiresSession: true }],
    steps: [
      send('next', ...of('N', 'n')),
      session('next', undefined, [{ do: 'id', is: 'N' }, take([{ body: 'n' }])]),
    ],
  },
  {
    name: 'the next session is one that nobody has',
    queues: [{ name: 'free', requiresSession: true }],
    steps: [
      send('free', ...of('held', 'h'), ...of('free', 'f')),
      session('free', 'held', [
        session('free', undefined, [{ do: 'id', is: 'free' }, take([{ body: 'f' }])]),
        take([{ body: 'h' }]),
      ]),
    ],
  },
  {
    name: 'a session that is held cannot be locked',
    queues: [{ name: 'held', requiresSession: true }],
    steps: [
      session('held', 'S', [fails(session('held', 'S', []), 'SessionCannotBeLocked')]),
      session('held', 'S', [{ do: 'renew' }]),
    ],
  },
  {
    name: 'state and lock of a session',
    queues: [{ name: 'state', requiresSession: true }],
    steps: [
      session('state', 'S', [
        { do: 'set', state: 'kept' },
        { do: 'get', state: 'kept' },
        { do: 'renew' },
      ]),
      session('state', 'S', [
        { do: 'get', state: 'kept' },
        { do: 'set', state: null },
        { do: 'get', state: null },
      ]),
    ],
  },
  {
    name: 'peek in a session',
    // Its request names no session.
    without: ['go'],
    queues: [{ name: 'looked-at', requiresSession: true }],
    steps: [
      send('looked-at', ...of('A', 'a1', 'a2'), ...of('B', 'b1')),
      session('looked-at', 'A', [{ do: 'peek', count: 9, expect: bodies('a1', 'a2') }]),
    ],
  },
  {
    name: 'abandon and dead-letter in a session',
    queues: [{ name: 'within', requiresSession: true }],
    steps: [
      send('within', ...of('A', 'a1', 'a2'), ...of('B', 'b1')),
      session('within', 'A', [
        take([{ body: 'a1' }], { settle: 'abandon' }),
        take([{ body: 'a1', deliveries: 1 }]),
        take([{ body: 'a2' }], { settle: 'dead' }),
      ]),
      receive('within', [{ body: 'a2', session: 'A' }], { sub: 'dead' }),
    ],
  },
  {
    name: 'defer in a session',
    // Its request names no session.
    without: ['go'],
    queues: [{ name: 'put-off', requiresSession: true }],
    steps: [
      send('put-off', ...of('A', 'a1', 'a2')),
      session('put-off', 'A', [
        take([{ body: 'a1' }], { settle: 'defer', keep: 'a1' }),
        take([{ body: 'a2' }]),
        { do: 'deferred', kept: 'a1', expect: [{ body: 'a1', deliveries: 1 }] },
        { do: 'peek', count: 9, expect: [] },
      ]),
    ],
  },
  {
    name: 'the lock of a session that is over is lost',
    queues: [{ name: 'ended', requiresSession: true, lockDuration: 'PT2S' }],
    steps: [
      send('ended', ...of('S', 'x')),
      fails(session('ended', 'S', [{ do: 'outlast' }]), 'SessionLockLost'),
      session('ended', 'S', [take([{ body: 'x' }])]),
    ],
  },
  {
    name: 'a message of a session whose lock is over is not settled',
    // It tells its user that the context was canceled.
    without: ['go'],
    queues: [{ name: 'ended-within', requiresSession: true, lockDuration: 'PT2S' }],
    steps: [
      send('ended-within', ...of('S', 'x')),
      fails(session('ended-within', 'S', [{ do: 'outlast', settles: true }]), 'SessionLockLost'),
      session('ended-within', 'S', [take([{ body: 'x', deliveries: 1 }])]),
    ],
  },
  {
    name: 'sessions are listed, those of a late state too',
    without: ['javascript', 'java'],
    queues: [{ name: 'listed', requiresSession: true }],
    steps: [
      send('listed', ...of('A', 'a'), ...of('B', 'b')),
      session('listed', 'C', [{ do: 'set', state: 'early' }]),
      { do: 'mark', keep: 'between' },
      session('listed', 'B', [{ do: 'set', state: 'late' }]),
      { do: 'sessions', of: 'listed', expect: ['A', 'B', 'C'] },
      { do: 'sessions', of: 'listed', since: 'between', expect: ['B'] },
    ],
  },
  {
    name: 'a queue with sessions takes no message without one, and no receiver',
    queues: [{ name: 'strict', requiresSession: true }],
    steps: [
      fails(send('strict', { body: 'x' })),
      send('strict', { body: 'there', session: 'S' }),
      fails(receive('strict', [{}])),
    ],
  },
];

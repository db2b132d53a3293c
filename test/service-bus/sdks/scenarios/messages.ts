/** Sending, receiving, settling, looking at messages. */
import { bodies, empty, fails, receive, type Scenario, send } from '../steps.ts';

export const messages: Scenario[] = [
  {
    name: 'send, receive, complete',
    queues: [{ name: 'plain' }],
    steps: [
      send('plain', {
        ...{ body: 'one', id: 'm1', subject: 's', correlationId: 'c' },
        properties: { text: 'x', yes: true },
      }),
      receive('plain', [
        {
          ...{ body: 'one', id: 'm1', subject: 's', correlationId: 'c', deliveries: 0 },
          properties: { text: 'x', yes: true },
        },
      ]),
      empty('plain'),
    ],
  },
  {
    name: 'bodies of values and of sequences',
    queues: [{ name: 'bodies' }],
    steps: [
      send('bodies', { value: 'text' }, { value: 42 }, { sequence: ['a', 1, true] }),
      receive('bodies', [{ value: 'text' }, { value: 42 }, { sequence: ['a', 1, true] }]),
    ],
  },
  {
    name: 'send a batch, in order',
    queues: [{ name: 'many' }],
    steps: [
      { do: 'send', to: 'many', batch: true, messages: bodies('a', 'b', 'c', 'd') },
      receive('many', bodies('a', 'b', 'c', 'd')),
      empty('many'),
    ],
  },
  {
    name: 'abandon, until it is dead-lettered',
    queues: [{ name: 'again', maxDeliveryCount: 3 }],
    steps: [
      send('again', { body: 'x' }),
      receive('again', [{ deliveries: 0 }], { settle: 'abandon' }),
      receive('again', [{ deliveries: 1 }], { settle: 'abandon' }),
      receive('again', [{ deliveries: 2 }], { settle: 'abandon' }),
      receive('again', [{ body: 'x', reason: 'MaxDeliveryCountExceeded' }], { sub: 'dead' }),
    ],
  },
  {
    name: 'dead-letter with a reason',
    queues: [{ name: 'bad' }],
    steps: [
      send('bad', { body: 'x' }),
      receive('bad', [{ body: 'x' }], { settle: 'dead' }),
      {
        do: 'peek',
        from: 'bad',
        sub: 'dead',
        count: 9,
        expect: [{ body: 'x', reason: 'because' }],
      },
      receive('bad', [{ reason: 'because', description: 'of this' }], { sub: 'dead' }),
      empty('bad'),
    ],
  },
  {
    name: 'defer, receive by number, complete',
    queues: [{ name: 'defer' }],
    steps: [
      send('defer', { body: 'later' }),
      receive('defer', [{}], { settle: 'defer', keep: 'n' }),
      empty('defer'),
      {
        ...{ do: 'deferred', from: 'defer', kept: 'n' },
        expect: [{ body: 'later', deliveries: 1 }],
      },
      empty('defer'),
    ],
  },
  {
    name: 'properties are changed with a settlement',
    // It has no argument for it.
    without: ['python'],
    queues: [{ name: 'changed' }],
    steps: [
      send('changed', { body: 'x', properties: { stays: 1 } }),
      receive('changed', [{}], { settle: 'abandon', changes: { seen: 'once' } }),
      receive('changed', [{ properties: { seen: 'once' } }], {
        ...{ settle: 'defer', keep: 'n', changes: { seen: 'twice' } },
      }),
      {
        ...{ do: 'deferred', from: 'changed', kept: 'n' },
        expect: [{ body: 'x', properties: { seen: 'twice', stays: 1 } }],
      },
    ],
  },
  {
    name: 'a deferred message that is gone is not found',
    // It gives its user no message and no error.
    without: ['java'],
    queues: [{ name: 'undeferred' }],
    steps: [
      send('undeferred', { body: 'x' }),
      receive('undeferred', [{}], { settle: 'defer', keep: 'n' }),
      { do: 'deferred', from: 'undeferred', kept: 'n' },
      fails({ do: 'deferred', from: 'undeferred', kept: 'n' }, 'MessageNotFound'),
    ],
  },
  {
    name: 'peek, from a number too',
    queues: [{ name: 'peek' }],
    steps: [
      send('peek', ...bodies('p1', 'p2', 'p3')),
      { do: 'peek', from: 'peek', count: 2, expect: bodies('p1', 'p2') },
      receive('peek', [{ body: 'p1' }], { settle: 'abandon' }),
      receive('peek', [{ body: 'p1' }]),
      receive('peek', [{ body: 'p2' }], { settle: 'defer', keep: 'second' }),
      { do: 'peek', from: 'peek', start: 'second', count: 9, expect: bodies('p2', 'p3') },
    ],
  },
  {
    name: 'peek without bodies',
    without: ['javascript', 'python', 'java', 'go'],
    queues: [{ name: 'heads' }],
    steps: [
      send('heads', { body: 'a body', id: 'h', subject: 's' }),
      {
        ...{ do: 'peek', from: 'heads', count: 1, omitsBodies: true },
        expect: [{ body: '', id: 'h', subject: 's' }],
      },
    ],
  },
  {
    name: 'receive and delete',
    queues: [{ name: 'delete' }],
    steps: [
      send('delete', ...bodies('d1', 'd2')),
      receive('delete', bodies('d1', 'd2'), { deletes: true }),
      empty('delete'),
    ],
  },
  {
    name: 'schedule and cancel',
    queues: [{ name: 'later' }],
    steps: [
      { do: 'schedule', to: 'later', message: { body: 'never' }, afterMs: 600_000, keep: 'gone' },
      { do: 'cancel', to: 'later', kept: 'gone' },
      { do: 'schedule', to: 'later', message: { body: 'soon' }, afterMs: 500, keep: 'soon' },
      receive('later', [{ body: 'soon' }]),
      empty('later'),
    ],
  },
  {
    name: 'to cancel what is not scheduled is an error',
    // It tells its user nothing.
    without: ['java'],
    queues: [{ name: 'cancelled' }],
    steps: [
      { do: 'schedule', to: 'cancelled', message: { body: 'x' }, afterMs: 600_000, keep: 'x' },
      { do: 'cancel', to: 'cancelled', kept: 'x' },
      fails({ do: 'cancel', to: 'cancelled', kept: 'x' }, 'MessageNotFound'),
    ],
  },
  {
    name: 'a renewed lock holds',
    queues: [{ name: 'renewed', lockDuration: 'PT5S' }],
    steps: [send('renewed', { body: 'x' }), { do: 'renewed', from: 'renewed' }, empty('renewed')],
  },
  {
    name: 'a lock that is over is lost, and counts',
    queues: [{ name: 'lost', lockDuration: 'PT2S' }],
    steps: [
      send('lost', { body: 'x' }),
      fails({ do: 'outlast', from: 'lost' }, 'MessageLockLost'),
      receive('lost', [{ body: 'x', deliveries: 1 }]),
    ],
  },
  {
    name: 'past its time to live it is a dead letter',
    queues: [{ name: 'expiring', deadLetteringOnMessageExpiration: true }],
    steps: [
      send('expiring', { body: 'gone', ttlMs: 50 }),
      receive('expiring', [{ body: 'gone', reason: 'TTLExpiredException' }], { sub: 'dead' }),
    ],
  },
  {
    name: 'duplicates are dropped',
    queues: [{ name: 'once', requiresDuplicateDetection: true }],
    steps: [
      send('once', { body: 'first', id: 'same' }),
      send('once', { body: 'second', id: 'same' }),
      receive('once', [{ body: 'first' }]),
      empty('once'),
    ],
  },
  {
    name: 'duplicates in one batch, and after their window',
    queues: [
      {
        ...{ name: 'once-more', requiresDuplicateDetection: true },
        duplicateDetectionHistoryTimeWindow: 'PT2S',
      },
    ],
    steps: [
      {
        ...{ do: 'send', to: 'once-more', batch: true },
        messages: [
          { body: 'a', id: 'one' },
          { body: 'b', id: 'two' },
          { body: 'c', id: 'one' },
        ],
      },
      receive('once-more', bodies('a', 'b')),
      empty('once-more'),
      { do: 'wait', ms: 2500 },
      send('once-more', { body: 'd', id: 'one' }),
      receive('once-more', bodies('d')),
    ],
  },
  {
    name: 'messages that come before they are asked for',
    // They have no such setting.
    without: ['javascript', 'go', 'plain'],
    queues: [{ name: 'ahead' }],
    steps: [
      send('ahead', ...bodies('a', 'b', 'c')),
      receive('ahead', bodies('a', 'b', 'c'), { prefetch: 10 }),
      empty('ahead'),
    ],
  },
  {
    name: 'a batch that is full takes no more, and is sent',
    without: ['plain'],
    queues: [{ name: 'filled' }],
    steps: [
      { do: 'fill', to: 'filled', bytes: 100_000 },
      receive('filled', [{}, {}]),
      empty('filled'),
    ],
  },
  {
    name: 'the largest message there may be, and one beyond',
    // Of one that is within some 5,000 bytes of the limit it sends nothing, and tells its user nothing.
    without: ['java'],
    queues: [{ name: 'largest' }],
    steps: [
      { do: 'large', to: 'largest', bytes: 262_144 - 512 },
      receive('largest', [{}]),
      fails({ do: 'large', to: 'largest', bytes: 262_144 }, 'MessageSizeExceeded'),
      empty('largest'),
    ],
  },
  {
    name: 'settled over management after the link was lost',
    without: ['javascript', 'python', 'java', 'go'],
    queues: [{ name: 'unlinked' }],
    steps: [
      send('unlinked', { body: 'x' }),
      { do: 'settle late', from: 'unlinked' },
      empty('unlinked'),
    ],
  },
  {
    name: 'messages are deleted in a batch',
    without: ['javascript', 'python', 'java', 'go'],
    queues: [{ name: 'purged' }],
    steps: [
      send('purged', ...bodies('a', 'b', 'c')),
      { do: 'purge', from: 'purged', count: 2, expect: 2 },
      receive('purged', [{ body: 'c' }]),
      { do: 'purge', from: 'purged', count: 2, expect: 0 },
    ],
  },
];

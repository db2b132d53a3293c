/** Topics and rules, forwarding, transactions, limits, administration. */
import { bodies, empty, fails, receive, type Scenario, send } from '../steps.ts';

// Over HTTPS in any case: once is enough. Python and Go take their connection string for one of TLS.
const noAdministration: Scenario['without'] = [
  'plain',
  ...(['python', 'java', 'go'] as const).flatMap(
    (language) => [`${language} emulator`, `${language} websockets`] as const,
  ),
];

export const entities: Scenario[] = [
  {
    name: 'a topic with subscriptions and SQL filters',
    topics: [
      {
        name: 'topic-sql',
        subscriptions: [
          { name: 'all' },
          {
            name: 'red',
            rules: [{ name: 'r', sqlFilter: { sqlExpression: "colour LIKE 're%'" } }],
          },
        ],
      },
    ],
    steps: [
      send(
        'topic-sql',
        { body: 'r', properties: { colour: 'red' } },
        { body: 'b', properties: { colour: 'blue' } },
      ),
      receive('topic-sql/all', bodies('r', 'b')),
      receive('topic-sql/red', [{ body: 'r' }]),
      empty('topic-sql/red'),
    ],
  },
  {
    name: 'correlation filters and actions of rules',
    topics: [
      {
        name: 'topic-rules',
        subscriptions: [
          {
            name: 'mine',
            rules: [
              {
                name: 'r',
                correlationFilter: { label: 'order', correlationId: 'c', properties: { eu: true } },
                action: { sqlExpression: "SET seen = 'yes'; REMOVE secret; SET sys.Label = 'new'" },
              },
            ],
          },
        ],
      },
    ],
    steps: [
      send(
        'topic-rules',
        { body: 'other', subject: 'order', correlationId: 'd', properties: { eu: true } },
        {
          ...{ body: 'mine', subject: 'order', correlationId: 'c' },
          properties: { eu: true, secret: 'x' },
        },
        { body: 'far', subject: 'order', correlationId: 'c', properties: { eu: false } },
      ),
      receive('topic-rules/mine', [
        { body: 'mine', subject: 'new', properties: { seen: 'yes', eu: true } },
      ]),
      empty('topic-rules/mine'),
    ],
  },
  {
    name: 'rules are added, listed and removed over the link',
    // They have the administration for it.
    without: ['python', 'go'],
    topics: [{ name: 'topic-managed', subscriptions: [{ name: 's' }] }],
    steps: [
      { do: 'rules', of: 'topic-managed/s', expect: ['$Default'] },
      { do: 'rules', of: 'topic-managed/s', add: { name: 'big', sql: 'size > 10' } },
      {
        ...{ do: 'rules', of: 'topic-managed/s' },
        add: { name: 'mine', correlation: { subject: 'm', properties: { for: 'me' } } },
      },
      { do: 'rules', of: 'topic-managed/s', remove: '$Default', expect: ['big', 'mine'] },
      send(
        'topic-managed',
        { body: 'none', properties: { size: 3 } },
        { body: 'big', properties: { size: 30 } },
        { body: 'mine', subject: 'm', properties: { for: 'me' } },
      ),
      receive('topic-managed/s', bodies('big', 'mine')),
      fails({ do: 'rules', of: 'topic-managed/s', remove: 'nothing' }),
    ],
  },
  {
    name: 'scheduled in a topic',
    topics: [{ name: 'topic-timed', subscriptions: [{ name: 'all' }] }],
    steps: [
      { do: 'schedule', to: 'topic-timed', message: { body: 't' }, afterMs: 300, keep: 'n' },
      receive('topic-timed/all', [{ body: 't' }]),
    ],
  },
  {
    name: 'forwarding of messages and of dead letters',
    queues: [
      { name: 'onward', forwardTo: 'target' },
      { name: 'target', forwardDeadLetteredMessagesTo: 'graves' },
      { name: 'graves' },
    ],
    steps: [
      send('onward', { body: 'f' }),
      receive('target', [{ body: 'f' }], { settle: 'dead' }),
      receive('graves', [{ body: 'f', reason: 'because' }]),
    ],
  },
  {
    name: 'forwarding from topic to queue to queue, four times and no more',
    topics: [
      { name: 'topic-onward', subscriptions: [{ name: 's', forwardTo: 'chain-1' }] },
      { name: 'topic-too-far', subscriptions: [{ name: 's', forwardTo: 'chain-0' }] },
    ],
    queues: [
      { name: 'chain-0', forwardTo: 'chain-1' },
      { name: 'chain-1', forwardTo: 'chain-2' },
      { name: 'chain-2', forwardTo: 'chain-3' },
      { name: 'chain-3', forwardTo: 'chain-4' },
      { name: 'chain-4' },
    ],
    steps: [
      send('topic-onward', { body: 'near', properties: { colour: 'red' } }),
      receive('chain-4', [{ body: 'near', deliveries: 0, properties: { colour: 'red' } }]),
      send('topic-too-far', { body: 'far' }),
      receive('chain-3', [{ body: 'far' }], { sub: 'transfer' }),
      empty('chain-4'),
    ],
  },
  {
    name: 'filters of every kind',
    topics: [
      {
        name: 'topic-filters',
        subscriptions: [
          ...(
            [
              ['in', "colour IN ('red', 'green')"],
              ['null', 'size IS NULL'],
              ['exists', "EXISTS(size) AND NOT colour = 'blue'"],
              ['between', 'size + 1 > 10 AND size * 2 <= 40'],
              ['system', "sys.Label = 'l' OR sys.MessageId LIKE 'b%'"],
              ['true', '1=1'],
              ['false', '1=0'],
            ] as const
          ).map(([name, sqlExpression]) => ({
            name,
            rules: [{ name: 'r', sqlFilter: { sqlExpression } }],
          })),
          { name: 'id', rules: [{ name: 'r', correlationFilter: { messageId: 'blue-1' } }] },
          {
            name: 'two',
            rules: [
              { name: 'r', correlationFilter: { label: 'l' } },
              { name: 's', sqlFilter: { sqlExpression: 'size = 15' } },
            ],
          },
        ],
      },
    ],
    steps: [
      send(
        'topic-filters',
        { body: 'r', id: 'red-1', subject: 'l', properties: { colour: 'red', size: 15 } },
        { body: 'b', id: 'blue-1', properties: { colour: 'blue', size: 25 } },
        { body: 'g', id: 'green-1', properties: { colour: 'green' } },
      ),
      receive('topic-filters/in', bodies('r', 'g')),
      receive('topic-filters/null', bodies('g')),
      receive('topic-filters/exists', bodies('r')),
      receive('topic-filters/between', bodies('r')),
      receive('topic-filters/system', bodies('r', 'b')),
      receive('topic-filters/true', bodies('r', 'b', 'g')),
      receive('topic-filters/id', bodies('b')),
      ...['in', 'null', 'exists', 'between', 'system', 'false', 'id'].map((name) =>
        empty(`topic-filters/${name}`),
      ),
      // Both of its rules take it, and neither has an action.
      receive('topic-filters/two', bodies('r')),
      empty('topic-filters/two'),
    ],
  },
  {
    name: 'what cannot be forwarded is a transfer dead letter',
    queues: [
      { name: 'blocked', forwardTo: 'needs-session' },
      { name: 'needs-session', requiresSession: true },
    ],
    steps: [
      send('blocked', { body: 'f' }),
      receive('blocked', [{ body: 'f' }], { sub: 'transfer' }),
    ],
  },
  {
    name: 'a transaction that is committed moves messages between queues',
    without: ['javascript', 'python', 'go'],
    queues: [{ name: 'work' }, { name: 'result' }, { name: 'audit' }],
    steps: [
      send('work', { body: 'w' }),
      {
        ...{ do: 'transaction', from: 'work', settles: 1, ends: 'commit' },
        sends: [
          { to: 'result', messages: bodies('r1', 'r2') },
          { to: 'audit', messages: bodies('a') },
        ],
      },
      receive('result', bodies('r1', 'r2')),
      receive('audit', [{ body: 'a' }]),
      empty('work'),
    ],
  },
  {
    name: 'a transaction that is rolled back did nothing',
    without: ['javascript', 'python', 'go'],
    queues: [{ name: 'undone', lockDuration: 'PT5S' }, { name: 'nothing' }],
    steps: [
      send('undone', { body: 'w' }),
      {
        ...{ do: 'transaction', from: 'undone', settles: 1, ends: 'rollback' },
        sends: [{ to: 'nothing', messages: bodies('r') }],
      },
      { do: 'peek', from: 'nothing', count: 9, expect: [] },
      { do: 'peek', from: 'undone', count: 9, expect: [{ body: 'w' }] },
    ],
  },
  {
    name: 'entities that are disabled refuse what they are disabled for',
    queues: [
      { name: 'off', status: 'Disabled' },
      { name: 'no-send', status: 'SendDisabled' },
      { name: 'no-receive', status: 'ReceiveDisabled' },
    ],
    steps: [
      fails(send('off', { body: 'x' }), 'MessagingEntityDisabled'),
      fails(receive('off', [{}]), 'MessagingEntityDisabled'),
      fails(send('no-send', { body: 'x' }), 'MessagingEntityDisabled'),
      empty('no-send'),
      send('no-receive', { body: 'x' }),
      fails(receive('no-receive', [{}]), 'MessagingEntityDisabled'),
    ],
  },
  {
    name: 'a full entity refuses more',
    queues: [{ name: 'full', maxSizeInMegabytes: 1 }],
    steps: [
      ...[1, 2, 3, 4].map(() => ({ do: 'large', to: 'full', bytes: 250_000 }) as const),
      fails({ do: 'large', to: 'full', bytes: 250_000 }, 'QuotaExceeded'),
    ],
  },
  {
    name: 'an unknown entity is an error',
    steps: [
      fails(send('nowhere', { body: 'x' }), 'MessagingEntityNotFound'),
      fails(receive('nowhere', [{}]), 'MessagingEntityNotFound'),
    ],
  },
  {
    name: 'a message that is too large is an error',
    queues: [{ name: 'small' }],
    steps: [fails({ do: 'large', to: 'small', bytes: 400_000 }, 'MessageSizeExceeded')],
  },
  {
    name: 'administration of queues',
    without: noAdministration,
    steps: [
      {
        do: 'administer',
        what: 'create queue',
        name: 'made',
        with: { lockSeconds: 30, deliveries: 5, idleMinutes: 10 },
      },
      { do: 'administer', what: 'list queue', name: 'made' },
      {
        do: 'administer',
        what: 'get queue',
        name: 'made',
        with: { lockSeconds: 30, deliveries: 5, idleMinutes: 10 },
      },
      fails({
        ...{ do: 'administer', what: 'create queue', name: 'made' },
        with: { lockSeconds: 30, deliveries: 5, idleMinutes: 10 },
      }),
      send('made', { body: 'm' }),
      { do: 'administer', what: 'count queue', name: 'made', with: { active: 1 } },
      { do: 'administer', what: 'update queue', name: 'made', with: { deliveries: 7 } },
      {
        do: 'administer',
        what: 'get queue',
        name: 'made',
        with: { lockSeconds: 30, deliveries: 7, idleMinutes: 10 },
      },
      receive('made', [{ body: 'm' }]),
      { do: 'administer', what: 'delete queue', name: 'made' },
      fails({
        ...{ do: 'administer', what: 'get queue', name: 'made' },
        with: { lockSeconds: 30, deliveries: 7, idleMinutes: 10 },
      }),
      fails(send('made', { body: 'm' }), 'MessagingEntityNotFound'),
    ],
  },
  {
    name: 'administration of topics, subscriptions and rules',
    without: noAdministration,
    steps: [
      { do: 'administer', what: 'create topic', name: 'topic-made' },
      {
        ...{ do: 'administer', what: 'create subscription', name: 'topic-made' },
        with: {
          subscription: 'blue',
          rule: { name: 'mine', sql: "colour = 'blue'", action: "SET seen = 'yes'" },
        },
      },
      {
        ...{ do: 'administer', what: 'create subscription', name: 'topic-made' },
        with: {
          subscription: 'orders',
          rule: { name: 'mine', correlation: { subject: 'order', properties: { colour: 'red' } } },
        },
      },
      send(
        'topic-made',
        { body: 'r', subject: 'order', properties: { colour: 'red' } },
        { body: 'b', subject: 'order', properties: { colour: 'blue' } },
      ),
      receive('topic-made/blue', [{ body: 'b', properties: { seen: 'yes' } }]),
      receive('topic-made/orders', [{ body: 'r' }]),
      empty('topic-made/blue'),
      empty('topic-made/orders'),
    ],
  },
];

/**
 * Messages to the lanes, by the contract and nearly. Whatever they say: each is run, kept waiting,
 * tried again or put aside, none is held up, and the lane goes on.
 */
import assert from 'node:assert/strict';
import { ServiceBusClient, type ServiceBusMessage } from '@azure/service-bus';
import { createClient } from '../support/client.ts';
import { fc } from '../support/properties.ts';
import { until } from '../support/until.ts';
import { nearly, type Schema, valuesOf } from './from-schema.ts';
import { oddJson, oddWellFormed, toText } from './values.ts';

export interface Options {
  url: string;
  serviceBus: string;
  seed: number;
  ms: number;
}

type Made = ServiceBusMessage & { lane: string };

interface AsyncApi {
  components: {
    messages: Record<string, { name: string; payload: Schema }>;
  };
}

const lanes = ['standard', 'urgent', 'bulk', 'heavy', 'standard-keyed', 'urgent-keyed'];

/** Answers how many messages there were. @throws with those that were held up */
export async function fuzzMessages({ url, serviceBus, seed, ms }: Options): Promise<number> {
  const client = createClient(url);
  const { components } = (await (await client.call('/asyncapi.json')).json()) as AsyncApi;
  const bus = new ServiceBusClient(serviceBus);
  const senders = new Map(lanes.map((lane) => [lane, bus.createSender(lane)]));
  let sent = 0;
  let round = 0;
  /** Interrupted, the last one goes on: nobody is to close the bus under it. */
  let underWay: Promise<void> = Promise.resolve();
  const property = fc.asyncProperty(
    fc.array(messages(components), { minLength: 20, maxLength: 20 }),
    (made) => {
      underWay = sendAll(made);
      return underWay;
    },
  );
  const sendAll = async (made: Made[]): Promise<void> => {
    round++;
    const all = made.map(({ lane, ...message }, at) => ({
      lane,
      message: {
        ...message,
        messageId: `${message.messageId} ${seed} ${round} ${at}`,
      },
    }));
    for (const { lane, message } of all) {
      await senders.get(lane)?.sendMessages(message);
      sent++;
    }
    const letters = new Set<unknown>();
    await until(`the end of round ${round}`, async () => {
      for (const lane of lanes) for (const id of await lettersOf(bus, lane)) letters.add(id);
      const open = await Promise.all(
        all.map(async ({ message: { messageId } }) =>
          letters.has(messageId) ? undefined : undecided(client, String(messageId)),
        ),
      );
      return open.every((one) => one === undefined);
    });
    const { id } = await client.submit('fuzz.any', round);
    assert.equal((await client.ended(id)).state, 'succeeded');
  };
  try {
    await fc.assert(property, {
      ...{ seed, numRuns: 1_000_000, interruptAfterTimeLimit: ms, markInterruptAsFailure: false },
      // A round takes as long as its jobs: what it was is enough to look into.
      endOnFailure: true,
    });
  } finally {
    await underWay.catch(() => undefined);
    await bus.close();
  }
  return sent;
}

/** What nobody has looked at yet. */
async function undecided(client: ReturnType<typeof createClient>, id: string) {
  const response = await client.call(`/jobs/${encodeURIComponent(id)}`);
  if (response.status === 404) return id;
  const { state, attempt } = (await response.json()) as { state: string; attempt: number };
  return state === 'queued' && attempt === 1 ? id : undefined;
}

const seen = new Map<string, bigint>();

async function lettersOf(bus: ServiceBusClient, lane: string) {
  const receiver = bus.createReceiver(lane, { subQueueType: 'deadLetter' });
  try {
    const { default: Long } = await import('long');
    const from = Long.fromString(String((seen.get(lane) ?? 0n) + 1n));
    const found = await receiver.peekMessages(100, { fromSequenceNumber: from });
    const last = found.at(-1)?.sequenceNumber;
    if (last) seen.set(lane, BigInt(last.toString()));
    return found.map(({ messageId }) => messageId);
  } finally {
    await receiver.close();
  }
}

const text = (length: number) => oddWellFormed.map((given) => given.slice(0, length));

function messages({ messages: known }: AsyncApi['components']): fc.Arbitrary<Made> {
  const find = (): Schema => ({});
  const named = Object.values(known).map(({ name, payload }) =>
    nearly(valuesOf(payload, find)).map((body) => ({ type: name, body: toText(body) })),
  );
  const content = fc.oneof(
    { weight: 4, arbitrary: fc.oneof(...named) },
    fc.record({ type: oddWellFormed, body: oddJson.map(toText) }),
    fc.record({ type: fc.constant('fuzz.any'), body: oddWellFormed }),
  );
  const said = fc.oneof(
    oddWellFormed,
    fc.integer(),
    fc.boolean(),
    fc.date({ noInvalidDate: true }),
  );
  const properties = fc.dictionary(
    fc.constantFrom(
      ...[
        'requestedBy',
        'parent',
        'place',
        'above',
        'schedule',
        'startBefore',
        'claims',
        'callback',
      ],
      ...[
        'longhaul',
        'attempt',
        'turn',
        'job',
        'key',
        'createdAt',
        'traceparent',
        'foreign',
        'odd',
      ],
    ),
    said,
    { maxKeys: 4 },
  );
  return fc
    .record({
      ...{ lane: fc.constantFrom(...lanes), content, properties, messageId: text(100) },
      ...{ sessionId: text(60), correlationId: fc.option(text(120)) },
      replyTo: fc.option(fc.oneof(fc.constantFrom('replies', 'replies-keyed'), text(60))),
      contentType: fc.constantFrom(
        'application/json',
        'application/vnd.longhaul.blob+json',
        'x',
        '',
      ),
    })
    .map(({ lane, content: { type, body }, properties: more, ...message }) => ({
      ...{ lane, messageId: message.messageId, contentType: message.contentType },
      body: Buffer.from(body),
      // The extension knows a session by its id alone: in two queues at once they trip over each other.
      ...(lane.endsWith('-keyed') ? { sessionId: `${message.sessionId} ${lane}` } : {}),
      ...(message.correlationId ? { correlationId: message.correlationId } : {}),
      ...(message.replyTo ? { replyTo: message.replyTo } : {}),
      applicationProperties: { ...more, type } as Record<string, string>,
    }));
}

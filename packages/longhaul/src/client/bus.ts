/**
 * Request and reply over Service Bus: a job is called as if it were a function.
 *
 * Each client has a reply session of its own. A reply lies in its queue until the client has it: a
 * connection that breaks loses none.
 */
import { randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import {
  isServiceBusError,
  type ServiceBusClient,
  type ServiceBusReceivedMessage,
} from '@azure/service-bus';
import { createQueue, queueOf } from '../azure/queue.ts';
import type { JobRequest, LaneName } from '../define/define-job.ts';
import { isRefusal, MessageRefusedError } from '../errors.ts';
import { after } from '../long-timer.ts';
import { toMs } from '../model/duration.ts';
import type { OutgoingMessage } from '../model/message.ts';
import { readTopology, type Topology } from '../model/topology.ts';
import type { Queue } from '../ports.ts';
import { JobCaller } from './caller.ts';
import {
  CallTimeoutError,
  JobFailedError,
  RequestRefusedError,
  UnreachableError,
} from './errors.ts';
import { Replies } from './replies.ts';
import { Http } from './transport.ts';
import type { AnyType, BusCallOptions, Caller, WaitOptions } from './types.ts';

export type { BusCallOptions } from './types.ts';

export interface BusOptions {
  client: ServiceBusClient;
  /** A reply queue with sessions; default the first that the topology has. */
  replyQueue?: string;
  /** Where jobs are sent that name no `priority`; default 'standard'. */
  lane?: LaneName;
  /** The app's address, from which results are fetched that are too large for a message. */
  url?: string;
  /** Of those requests, such as `x-functions-key`. */
  headers?: Record<string, string>;
  /** Clients of the further namespaces that lanes are in, by the name that the topology gives them. */
  buses?: Readonly<Record<string, ServiceBusClient>>;
  /** The app's queues; default the topology.json of this package. */
  topology?: Topology;
}

export interface BusClient<C extends readonly AnyType[]> extends Caller<C, BusCallOptions> {
  /** Calls that are under way end with UnreachableError. */
  close(): Promise<void>;
}

/** @throws RequestRefusedError for a reply queue that cannot be one */
export function connectBus<const C extends readonly AnyType[]>(options: BusOptions): BusClient<C> {
  return new BusCaller<C>(new Calls(options));
}

class BusCaller<C extends readonly AnyType[]>
  extends JobCaller<C, BusCallOptions>
  implements BusClient<C>
{
  readonly #calls: Calls;

  constructor(calls: Calls) {
    super((request, options) => calls.call(request, options));
    this.#calls = calls;
  }

  close(): Promise<void> {
    return this.#calls.close();
  }
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** @throws RequestRefusedError */
function busOf({ client, buses }: Required<Pick<BusOptions, 'client' | 'buses'>>, bus?: string) {
  const found = bus === undefined ? client : buses[bus];
  if (found) return found;
  throw refused(`A lane is on the bus '${bus}': give connectBus \`buses: { ${bus}: … }\`.`);
}

class Calls {
  readonly #session = randomUUID();
  readonly #pending = new Map<string, Pending>();
  readonly #replyQueue: string;
  readonly #topology: Topology;
  readonly #lane: LaneName;
  readonly #http: Http | undefined;
  readonly #queue: Queue;
  readonly #replies: Replies;
  #closed: UnreachableError | undefined;

  constructor({ client, buses = {}, replyQueue, lane = 'standard', ...more }: BusOptions) {
    const { url, headers, topology } = more;
    this.#topology = topology ?? readTopology(pathToFileURL('topology.json'));
    this.#replyQueue = replyQueueOf(this.#topology, replyQueue);
    this.#lane = lane;
    this.#http = url === undefined ? undefined : new Http({ url, ...(headers ? { headers } : {}) });
    this.#queue = queueOf(this.#topology, (bus) => createQueue(busOf({ client, buses }, bus)));
    this.#replies = new Replies(client, this.#replyQueue, this.#session, {
      take: (reply) => this.#take(reply),
      failed: (cause) =>
        this.#rejectAll(new UnreachableError(`Reply queue '${this.#replyQueue}'`, { cause })),
    });
  }

  async call(request: JobRequest, options: WaitOptions & { key?: string }): Promise<unknown> {
    const { timeout = '1m', signal, key } = options;
    signal?.throwIfAborted();
    if (this.#closed) throw this.#closed;
    const id = randomUUID();
    const message = this.#toMessage(id, request, key);
    const reply = this.#awaited(id, timeout, signal);
    this.#replies.listen();
    // Whoever waits learns of it in `reply`.
    this.#queue.send(message).catch((error: unknown) => {
      this.#pending.get(id)?.reject(notSent(error));
    });
    return reply;
  }

  /** The promise of one reply: it ends by a result, a failure, the time or the signal. */
  #awaited(id: string, timeout: NonNullable<WaitOptions['timeout']>, signal?: AbortSignal) {
    const ms = toMs(timeout);
    return new Promise<unknown>((resolve, reject) => {
      const onAbort = () => end(() => reject(signal?.reason));
      const cancelTimer = after(ms, () => {
        const { trouble: cause } = this.#replies;
        end(() => reject(new CallTimeoutError(id, { timeout, cause })));
      });
      const end = (act: () => void) => {
        cancelTimer();
        signal?.removeEventListener('abort', onAbort);
        this.#pending.delete(id);
        act();
      };
      signal?.addEventListener('abort', onAbort);
      this.#pending.set(id, {
        resolve: (result) => end(() => resolve(result)),
        reject: (error) => end(() => reject(error)),
      });
    });
  }

  /** @throws RequestRefusedError */
  #toMessage(
    id: string,
    { type, input, options = {} }: JobRequest,
    key: string | undefined,
  ): OutgoingMessage {
    const { priority = this.#lane, requestedBy, tags, runAt, delay, startBefore } = options;
    for (const name of ['callback', 'replyTo', 'replyToSessionId', 'correlationId'] as const)
      if (options[name] !== undefined)
        throw refused(`A call over Service Bus takes no ${name}: the reply comes to this client.`);
    const lane = this.#topology.lanes.find(({ name }) => name === priority);
    if (!lane) throw refused(`There is no lane '${priority}'.`);
    const at = delay === undefined ? runAt : new Date(Date.now() + toMs(delay));
    const from = at?.getTime() ?? Date.now();
    const until = startBefore && new Date(from + toMs(startBefore)).toISOString();
    return {
      queue: key === undefined ? lane.plain : lane.keyed,
      messageId: id,
      correlationId: id,
      replyTo: this.#replyQueue,
      replyToSessionId: this.#session,
      contentType: 'application/json',
      body: Buffer.from(JSON.stringify(input ?? {})),
      ...(key === undefined ? {} : { sessionId: key }),
      ...(at ? { at } : {}),
      properties: {
        type,
        ...(requestedBy ? { requestedBy } : {}),
        ...(tags ? { tags: tags.join(',') } : {}),
        ...(until ? { startBefore: until } : {}),
      },
    };
  }

  async #take({ correlationId, body }: ServiceBusReceivedMessage): Promise<void> {
    const pending = this.#pending.get(String(correlationId));
    if (!pending) return;
    try {
      pending.resolve(await this.#resultOf(readEvent(body)));
    } catch (error) {
      pending.reject(error);
    }
  }

  async #resultOf({ id, state, result, resultUrl, error }: Reply): Promise<unknown> {
    if (state !== 'succeeded') throw new JobFailedError(id, state, error);
    if (resultUrl === undefined) return result;
    if (this.#http) return this.#http.json('GET', resultUrl.replace(/^\/api/, ''));
    throw new UnreachableError(resultUrl, {
      cause: new Error('the result is large: give connectBus a `url`'),
    });
  }

  #rejectAll(error: UnreachableError): void {
    for (const pending of [...this.#pending.values()]) pending.reject(error);
  }

  async close(): Promise<void> {
    const cause = new Error('the client was closed');
    this.#closed = new UnreachableError('Service Bus', { cause });
    this.#rejectAll(this.#closed);
    await this.#replies.close();
  }
}

/** What a reply says of its job; see `model/event.ts`. */
interface Reply {
  id: string;
  state: string;
  result?: unknown;
  resultUrl?: string;
  error?: { name: string; message: string };
}

/** The SDK reads JSON only of messages whose content type is exactly that. */
function readEvent(body: unknown): Reply {
  const event = (Buffer.isBuffer(body) ? JSON.parse(body.toString('utf8')) : body) as {
    data: Reply;
  };
  return event.data;
}

function replyQueueOf({ queues, replies }: Topology, given: string | undefined): string {
  const keyed = queues.filter(
    ({ name, requiresSession }) => requiresSession && replies.includes(name),
  );
  const names = keyed.map(({ name }) => name);
  const [found] = given === undefined ? names : names.filter((name) => name === given);
  if (found !== undefined) return found;
  throw refused(
    `${given === undefined ? 'No' : `'${given}' is no`} reply queue with sessions: the topology has ${names.join(', ') || 'none'}.`,
  );
}

const refused = (message: string) => new RequestRefusedError(400, 'bad_request', message);

/** What Service Bus refuses, and what did not get there. */
function notSent(error: unknown): RequestRefusedError | UnreachableError {
  if (error instanceof RequestRefusedError) return error;
  const cause = error instanceof MessageRefusedError ? error.cause : error;
  if (isServiceBusError(cause) && cause.code === 'MessageSizeExceeded')
    return new RequestRefusedError(
      413,
      'payload_too_large',
      'The input is too large for a message: put the data in Blob storage and give its name, or call over HTTP.',
      {},
      cause,
    );
  if (isRefusal(error))
    return new RequestRefusedError(error.status, error.code, error.message, {}, error);
  return new UnreachableError('Service Bus', { cause: error });
}

/**
 * Request and reply over Service Bus: a job is called as if it were a function.
 *
 * Each client has a reply session of its own. A reply lies in its queue until the client has it: a
 * connection that breaks loses none.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { ServiceBusClient, ServiceBusReceivedMessage } from '@azure/service-bus';
import { createQueue } from '../azure/queue.ts';
import type { JobRequest, LaneName } from '../define-job.ts';
import { toMs } from '../model/duration.ts';
import { readTopology, type Topology } from '../model/topology.ts';
import { CallTimeoutError, JobFailedError, UnreachableError } from './errors.ts';
import { type AnyType, type Caller, type CallOptions, functionsOf, toRequest } from './types.ts';

export interface BusOptions {
  client: ServiceBusClient;
  /** A reply queue with sessions; default the first that topology.json has. */
  replyQueue?: string;
  /** Where jobs are sent that name no `priority`; default 'standard'. */
  lane?: LaneName;
  /** For results that are too large for a message: the app's address. */
  url?: string;
}

export interface BusCallOptions extends CallOptions {
  /** Of types with a key: what the type makes of the input. */
  key?: string;
}

export interface BusClient<C extends readonly AnyType[]> extends Caller<C> {
  /** Calls that are under way end with UnreachableError. */
  close(): Promise<void>;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

export function connectBus<const C extends readonly AnyType[]>(options: BusOptions): BusClient<C> {
  const topology = readTopology(new URL('../../../topology.json', import.meta.url));
  const calls = new Calls(options, topology);
  const call = (typeOrRequest: string | JobRequest, input?: unknown, more?: BusCallOptions) => {
    const { request, options: how } = toRequest(typeOrRequest, input, more);
    return calls.call(request, how);
  };
  const client = {
    call,
    functions: (prefix: string) => functionsOf(call, prefix),
    close: () => calls.close(),
  };
  return client as unknown as BusClient<C>;
}

const receiveAtOnce = 500;
const receiveWaitMs = 5_000;
const reconnectMs = 300;

class Calls {
  readonly #session = randomUUID();
  readonly #pending = new Map<string, Pending>();
  readonly #client: ServiceBusClient;
  readonly #replyQueue: string;
  readonly #topology: Topology;
  readonly #lane: LaneName;
  readonly #url: string | undefined;
  readonly #queue: ReturnType<typeof createQueue>;
  readonly #closing = new AbortController();
  #receiving: Promise<void> | undefined;

  constructor({ client, replyQueue, lane = 'standard', url }: BusOptions, topology: Topology) {
    const [keyed] = topology.queues.filter(
      ({ name, requiresSession }) => requiresSession && topology.replies.includes(name),
    );
    this.#client = client;
    this.#topology = topology;
    this.#replyQueue = replyQueue ?? keyed?.name ?? '';
    this.#lane = lane;
    this.#url = url;
    this.#queue = createQueue(client);
  }

  async call(
    request: JobRequest,
    { timeout = '1m', signal, key }: BusCallOptions,
  ): Promise<unknown> {
    signal?.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    this.#receiving ??= this.#receive();
    const id = randomUUID();
    const reply = this.#awaited(id, timeout, signal);
    // Whoever waits learns of it in `reply`.
    this.#send(id, request, key).catch((error: unknown) =>
      this.#pending.get(id)?.reject(new UnreachableError('Service Bus', { cause: error })),
    );
    return reply;
  }

  /** The promise of one reply: it ends by a result, a failure, the time or the signal. */
  #awaited(id: string, timeout: NonNullable<CallOptions['timeout']>, signal?: AbortSignal) {
    return new Promise<unknown>((resolve, reject) => {
      const onAbort = () => end(() => reject(signal?.reason));
      const timer = setTimeout(
        () => end(() => reject(new CallTimeoutError(id, { timeout }))),
        toMs(timeout),
      );
      const end = (act: () => void) => {
        clearTimeout(timer);
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

  #send(id: string, { type, input, options = {} }: JobRequest, key?: string): Promise<void> {
    const { priority = this.#lane, requestedBy, runAt, delay, startBefore } = options;
    const lane = this.#topology.lanes.find(({ name }) => name === priority);
    const at = delay === undefined ? runAt : new Date(Date.now() + toMs(delay));
    const from = at?.getTime() ?? Date.now();
    const until = startBefore && new Date(from + toMs(startBefore)).toISOString();
    return this.#queue.send({
      queue: (key === undefined ? lane?.plain : lane?.keyed) ?? '',
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
        ...(until ? { startBefore: until } : {}),
      },
    });
  }

  async #receive(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const receiver = await this.#client.acceptSession(this.#replyQueue, this.#session);
        try {
          while (!signal.aborted) {
            const replies = await receiver.receiveMessages(receiveAtOnce, {
              maxWaitTimeInMs: receiveWaitMs,
              abortSignal: signal,
            });
            for (const reply of replies) void this.#take(reply);
            await Promise.all(replies.map((reply) => receiver.completeMessage(reply)));
          }
        } finally {
          await receiver.close().catch(() => undefined);
        }
      } catch {
        // Lost, or the broker is away: what was replied meanwhile lies in the queue.
        await pause(reconnectMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #take({ correlationId, body }: ServiceBusReceivedMessage): Promise<void> {
    const pending = this.#pending.get(String(correlationId));
    if (!pending) return;
    const event = (Buffer.isBuffer(body) ? JSON.parse(body.toString('utf8')) : body) as {
      data: {
        id: string;
        state: string;
        result?: unknown;
        resultUrl?: string;
        error?: { name: string; message: string };
      };
    };
    const { id, state, result, resultUrl, error } = event.data;
    if (state !== 'succeeded') pending.reject(new JobFailedError(id, state, error));
    else if (resultUrl === undefined) pending.resolve(result);
    else await this.#fetchResult(resultUrl).then(pending.resolve, pending.reject);
  }

  async #fetchResult(path: string): Promise<unknown> {
    if (!this.#url)
      throw new UnreachableError(path, {
        cause: new Error('the result is large: give connectBus a `url`'),
      });
    const response = await fetch(new URL(path, this.#url));
    if (!response.ok)
      throw new UnreachableError(path, { cause: new Error(`it answers ${response.status}`) });
    return response.json();
  }

  async close(): Promise<void> {
    const closed = new UnreachableError('Service Bus', {
      cause: new Error('the client was closed'),
    });
    this.#closing.abort(closed);
    for (const pending of [...this.#pending.values()]) pending.reject(closed);
    await this.#receiving;
  }
}

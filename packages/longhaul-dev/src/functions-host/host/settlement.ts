/**
 * The settlement service of the Service Bus extension: the Node package calls it by gRPC to settle
 * what a function was given. Errors as in the host: FAILED_PRECONDITION for an unknown lock.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { ServiceBusSessionReceiver } from '@azure/service-bus';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import { codec } from 'longhaul-service-bus/internal/amqp/rhea-internals';
import rhea from 'rhea';
import { type Held, inTime, settle as settleMessage } from './held-message.ts';

/** What a function may do with its session, for one call. */
export interface SessionActions {
  receiver: ServiceBusSessionReceiver;
  shouldRelease: boolean;
}

interface LockRequest {
  locktoken: string;
  propertiesToModify?: Buffer;
  deadletterReason?: { value: string } | null;
  deadletterErrorDescription?: { value: string } | null;
}

interface SessionRequest {
  sessionId: string;
  sessionState?: Buffer;
}

/**
 * Which receiver holds which message, for as long as its function runs. Sessions are kept by their id
 * alone, whatever their queue, as in the extension (5.17, `SessionActionsCache`): of two queues that
 * call functions with equal session ids at once the first one's session answers both, and the end of
 * either call takes it away.
 */
export class Settlement {
  readonly #held = new Map<string, Held>();
  readonly #sessions = new Map<string, SessionActions>();

  hold(held: Held): void {
    this.#held.set(held.message.lockToken ?? '', held);
  }

  /** Forgets a message; true if the function settled it. */
  letGo({ lockToken = '' }: Held['message']): boolean {
    return !this.#held.delete(lockToken);
  }

  holdSession(receiver: ServiceBusSessionReceiver): SessionActions {
    const actions = { receiver, shouldRelease: false };
    if (!this.#sessions.has(receiver.sessionId)) this.#sessions.set(receiver.sessionId, actions);
    return actions;
  }

  letGoSession(id: string): void {
    this.#sessions.delete(id);
  }

  async settle(
    token: string,
    act: (held: Pick<Held, 'receiver' | 'message'>) => Promise<unknown>,
    { ends }: { ends: boolean },
  ): Promise<void> {
    const held = this.#held.get(token);
    if (!held) throw new PreconditionError(`LockToken ${token} not found in the settlement cache.`);
    await settleMessage(held, (receiver, message) => act({ receiver, message }));
    if (ends) this.#held.delete(token);
  }

  session(id: string): SessionActions {
    const session = this.#sessions.get(id);
    if (!session) throw new PreconditionError(`SessionId ${id} not found in the session cache.`);
    return session;
  }
}

class PreconditionError extends Error {}

// biome-ignore lint/suspicious/noExplicitAny: gRPC's untyped services take no narrower handler
type Unary = grpc.handleUnaryCall<any, any>;

function unary<T>(run: (request: T) => Promise<unknown>): Unary {
  return (call, done) => {
    inTime(run(call.request as T)).then(
      (answer) => done(null, answer ?? {}),
      (error: Error) =>
        done({
          code:
            error instanceof PreconditionError
              ? grpc.status.FAILED_PRECONDITION
              : grpc.status.UNKNOWN,
          details: error.message,
        }),
    );
  };
}

function propertiesOf({ propertiesToModify }: LockRequest): Record<string, string> {
  if (!propertiesToModify?.length) return {};
  const reader = new codec.Reader(Buffer.from(propertiesToModify));
  return rhea.types.unwrap(reader.read()) as Record<string, string>;
}

function service(settlement: Settlement): grpc.UntypedServiceImplementation {
  const settle = (
    act: (held: Pick<Held, 'receiver' | 'message'>, request: LockRequest) => Promise<unknown>,
    ends = true,
  ) =>
    unary<LockRequest>((request) =>
      settlement.settle(request.locktoken, (held) => act(held, request), { ends }),
    );
  return {
    Complete: settle(({ receiver, message }) => receiver.completeMessage(message)),
    Abandon: settle(({ receiver, message }, request) =>
      receiver.abandonMessage(message, propertiesOf(request)),
    ),
    Defer: settle(({ receiver, message }, request) =>
      receiver.deferMessage(message, propertiesOf(request)),
    ),
    Deadletter: settle(({ receiver, message }, request) =>
      receiver.deadLetterMessage(message, {
        ...propertiesOf(request),
        deadLetterReason: request.deadletterReason?.value ?? '',
        deadLetterErrorDescription: request.deadletterErrorDescription?.value ?? '',
      }),
    ),
    RenewMessageLock: settle(({ receiver, message }) => receiver.renewMessageLock(message), false),
    GetSessionState: unary<SessionRequest>(async ({ sessionId }) => ({
      sessionState: bytesOf(await settlement.session(sessionId).receiver.getSessionState()),
    })),
    SetSessionState: unary<SessionRequest>(({ sessionId, sessionState }) =>
      settlement
        .session(sessionId)
        .receiver.setSessionState(sessionState?.length ? Buffer.from(sessionState) : null),
    ),
    ReleaseSession: unary<SessionRequest>(async ({ sessionId }) => {
      settlement.session(sessionId).shouldRelease = true;
    }),
    RenewSessionLock: unary<SessionRequest>(async ({ sessionId }) => {
      const until = await settlement.session(sessionId).receiver.renewSessionLock();
      return { lockedUntil: { seconds: Math.floor(until.getTime() / 1000), nanos: 0 } };
    }),
  };
}

/** The SDK reads a state that is JSON; the service hands on bytes. */
function bytesOf(state: unknown): Buffer {
  if (state === undefined || state === null) return Buffer.alloc(0);
  return Buffer.isBuffer(state) ? state : Buffer.from(JSON.stringify(state));
}

const maxMessageBytes = 2_147_483_647;

export interface SettlementServer {
  /** By which the Node extension finds it: arguments of the worker's process. */
  args: readonly string[];
  stop(): void;
}

export async function serveSettlement(settlement: Settlement): Promise<SettlementServer> {
  const extension = createRequire(import.meta.url).resolve(
    '@azure/functions-extensions-servicebus',
  );
  const definition = protoLoader.loadSync(join(dirname(extension), 'proto', 'settlement.proto'), {
    keepCase: false,
    longs: String,
    defaults: true,
    oneofs: true,
  });
  const loaded = grpc.loadPackageDefinition(definition) as unknown as {
    Settlement: grpc.ServiceClientConstructor;
  };
  const server = new grpc.Server({
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
  });
  server.addService(loaded.Settlement.service, service(settlement));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const named = { host: '127.0.0.1', port, 'functions-grpc-max-message-length': maxMessageBytes };
  return {
    args: Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]),
    stop: () => server.forceShutdown(),
  };
}

/**
 * The app's log. What happens in an invocation is logged through its context, so that Application
 * Insights shows it with that invocation; anything else through the console, which the worker forwards.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { InvocationContext } from '@azure/functions';
import { asError } from '../model/error-record.ts';
import type { Log } from '../pipeline/ports.ts';

const invocation = new AsyncLocalStorage<{ context: InvocationContext; isOver: boolean }>();

/** Runs a function of the app, so that its lines are known as its own. */
export async function inInvocation<T>(
  context: InvocationContext,
  run: () => Promise<T>,
): Promise<T> {
  const here = { context, isOver: false };
  try {
    return await invocation.run(here, run);
  } finally {
    here.isOver = true;
  }
}

const lineChars = 8_000;

export const log: Log = (level, message, { error } = {}) => {
  const text = error === undefined ? message : withStack(message, asError(error));
  const here = invocation.getStore();
  // The worker complains of lines that come after the end.
  if (here && !here.isOver) here.context[level](text.slice(0, lineChars));
  // biome-ignore lint/suspicious/noConsole: outside an invocation it is the only way
  else console[level](text.slice(0, lineChars));
};

/** With its causes; nothing else of an error, which may hold what is no business of a log. */
function stackOf(error: Error & { code?: unknown }, depth = 0): string {
  const { stack, name, message, cause, code } = error;
  const own = isOfService({ name, code })
    ? `${name}: ${message}`
    : (stack ?? `${name}: ${message}`);
  return cause instanceof Error && depth < 5
    ? `${own}\ncaused by ${stackOf(cause, depth + 1)}`
    : own;
}

/**
 * Storage, the bus and the host's settlement (a number is gRPC's code) say in a line what is wrong. A
 * stack shows the SDK's insides only, and when one of them is away there are hundreds.
 */
const isOfService = ({ name, code }: { name: string; code?: unknown }): boolean =>
  ['ServiceBusError', 'MessagingError', 'RestError'].includes(name) || typeof code === 'number';

function withStack(message: string, error: Error): string {
  const told = stackOf(error);
  return message.endsWith(error.message) && told === `${error.name}: ${error.message}`
    ? message
    : `${message}\n${told}`;
}

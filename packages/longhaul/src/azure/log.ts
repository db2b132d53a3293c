/**
 * The app's log. What happens in an invocation is logged through its context, so that Application
 * Insights shows it with that invocation; anything else through the console, which the worker forwards.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { InvocationContext } from '@azure/functions';
import { stackOf } from '../model/error-record.ts';
import type { Log } from '../ports.ts';

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
// All that moves a terminal or turns its text around; not the line breaks of a stack.
const unfit = /[^\P{Cc}\n]+|[\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu;

export const log: Log = (level, message, { error } = {}) => {
  // A name that somebody chose begins no line of its own, and paints no terminal.
  const line = message.replaceAll(/\n+/g, ' ').replaceAll(unfit, ' ');
  const text =
    error === undefined ? line : `${line}${detailsOf(error, line).replaceAll(unfit, ' ')}`;
  const here = invocation.getStore();
  // The worker complains of lines that come after the end.
  if (here && !here.isOver) here.context[level](text.slice(0, lineChars));
  // biome-ignore lint/suspicious/noConsole: outside an invocation it is the only way
  else console[level](prefixed(level, text.slice(0, lineChars)));
};

/** The host (4.1037) takes a line of standard error for an error if it says so, else for information. */
const prefixed = (level: string, text: string) =>
  level === 'info' ? text : text.replaceAll(/^/gm, `${level}: `);

/**
 * Storage, the bus and the host's settlement (a number is gRPC's code) say in a line what is wrong. A
 * stack shows the SDK's insides only, and when one of them is away there are hundreds.
 */
function isOfService(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const { name, code } = error as Error & { code?: unknown };
  return (
    ['ServiceBusError', 'MessagingError', 'RestError'].includes(name) || typeof code === 'number'
  );
}

function detailsOf(error: unknown, line: string): string {
  if (!isOfService(error)) return `\n${stackOf(error)}`;
  const said = error.message.replaceAll(/[\r\n]+/g, ' ');
  return line.endsWith(said) ? '' : `: ${said}`;
}

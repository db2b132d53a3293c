/** What happened to a message, a line each, when asked: `NODE_DEBUG=bus`. */
import { debuglog } from 'node:util';

const log = debuglog('bus');
// Asked once: this is on the way of every message.
const { enabled } = log;

interface Traced {
  sequence?: number;
  messageId?: string;
  content?: { messageId: string; sessionId: string | undefined };
  deliveryCount?: number;
}

export function trace(queue: string, message: Traced, what: string): void {
  if (!enabled) return;
  const { content, sequence = '', messageId = content?.messageId } = message;
  const session = content?.sessionId === undefined ? '' : ` session ${content.sessionId}`;
  const count = message.deliveryCount ? ` deliveries ${message.deliveryCount}` : '';
  log(`${new Date().toISOString()} ${queue} #${sequence} ${messageId}${session}${count}: ${what}`);
}

export function traceLink(what: string): void {
  if (enabled) log(what);
}

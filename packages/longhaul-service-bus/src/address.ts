/** Which entity an address means, and which part of it. */

export interface Address {
  /** What an SDK asked for, without host and leading slash: it appears in error texts. */
  path: string;
  /** Lower case: queue, topic, or `topic/subscriptions/name`. */
  entity: string;
  part: 'main' | 'deadLetters' | 'transferDeadLetters';
  isManagement: boolean;
}

/**
 * Of a request: no URL is made of it, as what clients send need not be one. It may be absolute, as a
 * server has to accept (RFC 9112, 3.2.2): so the Java SDK asks for a WebSocket.
 */
export function splitUrl(url: string | undefined): { path: string; query: URLSearchParams } {
  const target = (url ?? '/').replace(/#.*$/s, '').replace(/^(https?|wss?):\/\/[^/?]*/i, '');
  const [path = '', query = ''] = target.split(/\?(.*)/s);
  return { path, query: new URLSearchParams(query) };
}

const management = /\/\$management$/i;
const deadLetters = /\/\$deadletterqueue$/i;
const transfer = /\/\$transfer$/i;

/** .NET sends absolute paths, percent-encoded; JavaScript bare names; case does not count. */
export function parseAddress(address: string): Address {
  const path = decoded(address.replace(/^(amqps?|sb|https?):\/\/[^/]+/, '').replace(/^\//, ''));
  const node = path.replace(management, '');
  const main = node.replace(deadLetters, '');
  const isDead = main !== node;
  const entity = isDead ? main.replace(transfer, '') : main;
  return {
    path,
    entity: entity.toLowerCase(),
    part: isDead ? (entity === main ? 'deadLetters' : 'transferDeadLetters') : 'main',
    isManagement: management.test(path),
  };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    // A percent sign that encodes nothing is part of the name.
    return path;
  }
}

/** A client: made once for a process, used by all its jobs. */
import { NonRetryableError, RetryAfterError } from 'longhaul';
import type { Mailer } from './welcome.ts';

export function createMailer(url: string, key: string): Mailer {
  return {
    async send(to, text, { idempotencyKey }) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'idempotency-key': idempotencyKey },
        body: JSON.stringify({ to, text }),
        signal: AbortSignal.timeout(30_000),
      });
      if (response.ok) return (await response.json()) as { id: string };
      const why = `The mail service answered ${response.status}`;
      if (response.status === 429)
        throw new RetryAfterError(why, response.headers.get('retry-after') ?? '1m');
      if (response.status < 500) throw new NonRetryableError(why);
      throw new Error(why);
    },
  };
}

import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';

/** Takes callbacks that carry a signature by `secret`, not older than five minutes, each once. */
export function receiveCallbacks(secret: string, tell: (event: object) => void) {
  const signed = new Webhook(secret);
  // In a database, where there is more than one process.
  const seen = new Set<string>();
  return createServer(async (request, response) => {
    try {
      const body = await text(request);
      const headers = request.headers as Record<string, string>;
      const event = signed.verify(body, headers) as object;
      const id = headers['webhook-id'] ?? '';
      if (!seen.has(id)) tell(event);
      seen.add(id);
      response.writeHead(204).end();
    } catch (error) {
      response.writeHead(error instanceof WebhookVerificationError ? 401 : 400).end();
    }
  });
}

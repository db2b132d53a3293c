/** Server-sent events (HTML standard, 9.2) as a response body. */
import type { HttpRequest, HttpResponseInit } from '@azure/functions';
import type { Clock } from '../ports.ts';

export interface StreamEvent {
  id: string;
  event: string;
  data: unknown;
}

// Proxies drop a connection on which nothing is said; Azure's does after four minutes.
const heartbeatMs = 15_000;
const reconnectMs = 1_000;
// `@azure/functions` does not tell a stream that its client left: without an end of its own it would run,
// and be billed, until functionTimeout. Who still listens resumes by Last-Event-ID.
const lastsMs = 180_000;

/** `start` gets what sends and what ends the stream, and answers what to do when nobody listens. */
export function eventStream(
  clock: Clock,
  start: (send: (event: StreamEvent) => void, end: () => void) => () => void,
): HttpResponseInit {
  const encoder = new TextEncoder();
  let stop: () => void = () => undefined;
  let unwatch: () => void = () => undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      let open = true;
      const write = (text: string) => {
        if (open) controller.enqueue(encoder.encode(text));
      };
      let cancelBeat: () => void = () => undefined;
      let cancelEnd: () => void = () => undefined;
      const beat = () => {
        cancelBeat = clock.after(heartbeatMs, beat);
        write(':\n\n');
      };
      stop = () => {
        open = false;
        cancelBeat();
        cancelEnd();
        unwatch();
      };
      const end = () => {
        if (!open) return;
        stop();
        controller.close();
      };
      write(`retry: ${reconnectMs}\n\n`);
      cancelBeat = clock.after(heartbeatMs, beat);
      cancelEnd = clock.after(lastsMs, end);
      const send = ({ id, event, data }: StreamEvent) =>
        write(
          `id: ${id.replaceAll(/[\r\n\0]/g, '')}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`,
        );
      unwatch = start(send, end);
    },
    cancel: () => stop(),
  });
  const headers = {
    'content-type': 'text/event-stream',
    // Says to nginx and its like that this is not to be held back.
    'x-accel-buffering': 'no',
  };
  return { status: 200, headers, body: body as unknown as NonNullable<HttpResponseInit['body']> };
}

export const lastEventId = (request: HttpRequest): string | undefined =>
  request.headers.get('last-event-id') ?? request.query.get('lastEventId') ?? undefined;

/** A client of server-sent events, as the HTML standard reads them. */
export interface SseEvent {
  id: string;
  event: string;
  data: Record<string, unknown>;
}

/** Yields events until the stream ends; leaving the loop drops the connection. */
export async function* readEvents(
  url: string,
  lastEventId?: string,
): AsyncGenerator<SseEvent, void, void> {
  const abort = new AbortController();
  const response = await fetch(url, {
    headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
    signal: abort.signal,
  });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const lines = text.slice(0, end).split('\n');
        text = text.slice(end + 2);
        const field = (name: string) =>
          lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        const data = field('data');
        if (data !== undefined)
          yield {
            id: field('id') ?? '',
            event: field('event') ?? 'message',
            data: JSON.parse(data),
          };
      }
    }
  } finally {
    abort.abort();
  }
}

import type { ConnectionInternals } from './rhea-internals.ts';

interface Frame {
  channel: number;
}
type Handlers = Record<`on_${string}`, (frame: Frame) => void>;

const ofSession = ['attach', 'detach', 'flow', 'transfer', 'disposition'];

/**
 * A client that closes a link and its session may say `end` before it has answered the detach of a link
 * that the broker closed in the same moment: the Azure SDK does, when both give up waiting for a session
 * after the same minute. What comes on a channel after its end concerns nobody. rhea would drop the
 * connection for it, with all the other links on it.
 */
export function forgiveLateFrames(connection: ConnectionInternals): void {
  const ended = new Set<number>();
  const handlers = connection as unknown as Handlers;
  const around = (name: `on_${string}`, act: (frame: Frame, original: () => void) => void) => {
    const original = handlers[name]?.bind(connection);
    handlers[name] = (frame) => act(frame, () => original?.(frame));
  };
  around('on_begin', ({ channel }, original) => {
    original();
    ended.delete(channel);
  });
  around('on_end', ({ channel }, original) => {
    original();
    ended.add(channel);
  });
  for (const name of ofSession)
    around(`on_${name}`, ({ channel }, original) => {
      if (ended.has(channel) && !connection.remote_channel_map[channel]) return;
      original();
    });
}

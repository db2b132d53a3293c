import type { Log } from '../log.ts';
import type { LoadedFunction } from '../worker/core-module.ts';
import type { AppSettings, HostJson } from './app-settings.ts';
import type { Invoke } from './worker.ts';

/** What a kind of trigger needs of the host. */
export interface ListenerContext {
  settings: AppSettings;
  hostJson: HostJson;
  invoke: Invoke;
  log: Log;
}

/** Something that calls functions until it is stopped; `stop` takes in nothing new and waits for what runs. */
export interface Listener {
  /** Takes in nothing new from now on; what runs goes on. */
  quiesce?(): Promise<unknown>;
  stop(): Promise<void>;
}

export type Listen = (
  functions: readonly LoadedFunction[],
  context: ListenerContext,
) => Promise<Listener>;

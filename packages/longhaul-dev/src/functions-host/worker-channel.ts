/** What host and worker say to each other over the channel between them. */

import type { LogLevel } from './log.ts';
import type { FunctionMetadata, InvocationRequest } from './worker/core-module.ts';

export type ToWorker =
  | { kind: 'invoke'; id: string; name: string; request: InvocationRequest }
  /** Run the app's hooks for the end, then leave. */
  | { kind: 'terminate' };

export type FromWorker =
  | { kind: 'log'; level: LogLevel; message: string; category?: string }
  /** A call has ended, by an error if there is one. */
  | { kind: 'ended'; id: string; error?: { message: string; stack: string } };

/** Told once the app is loaded. */
export interface LoadedApp {
  functions: FunctionMetadata[];
  /** Where the programming model takes HTTP requests. */
  streams: string;
}

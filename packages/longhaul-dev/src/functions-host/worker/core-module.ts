/**
 * What `require('@azure/functions-core')` answers: the module by which a Node worker lets the
 * programming model register its functions. Shapes as in Azure/azure-functions-nodejs-worker.
 */
import Module, { createRequire } from 'node:module';
import type { Log, LogLevel } from '../log.ts';

export interface Binding {
  type: string;
  direction: 'in' | 'out';
  [option: string]: unknown;
}

export interface FunctionMetadata {
  name: string;
  bindings: Record<string, Binding>;
}

export type Handler = (...args: unknown[]) => unknown;

/** The protobuf-JSON value by which host and worker pass data. */
export type RpcTypedData =
  | { string: string }
  | { json: string }
  | { bytes: Uint8Array }
  | { modelBindingData: RpcModelBindingData }
  | { collectionModelBindingData: { modelBindingData: RpcModelBindingData[] } };

export interface RpcModelBindingData {
  version: string;
  source: string;
  contentType: string;
  content: Buffer;
}

export interface InvocationRequest {
  inputData: { name: string; data?: RpcTypedData }[];
  triggerMetadata: Record<string, RpcTypedData>;
  traceContext?: { traceParent: string };
}

interface InvocationModel {
  getArguments(): Promise<{ context: unknown; inputs: unknown[] }>;
  invokeFunction(context: unknown, inputs: unknown[], handler: Handler): Promise<unknown>;
  getResponse(context: unknown, result: unknown): Promise<unknown>;
}

export interface ProgrammingModel {
  name: string;
  getInvocationModel(coreContext: unknown): InvocationModel;
  getCapabilities(capabilities: Record<string, unknown>): Promise<Record<string, unknown>>;
}

export type HookName = 'appStart' | 'appTerminate' | 'preInvocation' | 'postInvocation' | 'log';
type Hook = (context: Record<string, unknown>) => unknown;

/** A function as the host knows it; its handler is in the worker. */
export interface LoadedFunction {
  metadata: FunctionMetadata;
}

export interface RegisteredFunction extends LoadedFunction {
  handler: Handler;
}

/** What an app registered while its entry point ran. */
export class Registry {
  readonly functions: RegisteredFunction[] = [];
  readonly #hooks = new Map<string, Set<Hook>>();
  model: ProgrammingModel | undefined;

  addHook(name: string, hook: Hook): () => void {
    const hooks = this.#hooks.get(name) ?? new Set();
    this.#hooks.set(name, hooks.add(hook));
    return () => hooks.delete(hook);
  }

  async runHooks(name: HookName, context: Record<string, unknown>): Promise<void> {
    for (const hook of this.#hooks.get(name) ?? []) await hook(context);
  }
}

/** Supplies the core module to everything this process loads from now on. */
export function supplyCoreModule(registry: Registry, log: Log): void {
  class Disposable {
    readonly dispose: () => void;
    constructor(dispose: () => void) {
      this.dispose = dispose;
    }
  }
  const core = {
    version: '3.11.0',
    hostVersion: '4.1040.0',
    Disposable,
    registerFunction(metadata: FunctionMetadata, handler: Handler) {
      registry.functions.push({ metadata, handler });
      return new Disposable(() => undefined);
    },
    registerHook: (name: string, hook: Hook) => new Disposable(registry.addHook(name, hook)),
    setProgrammingModel(model: ProgrammingModel) {
      registry.model = model;
    },
    getProgrammingModel: () => registry.model,
    log: (level: LogLevel, category: string, message: string) => log(level, message, { category }),
  };
  const name = '@azure/functions-core';
  const loader = Module as unknown as {
    _resolveFilename(request: string, ...rest: unknown[]): string;
  };
  const resolve = loader._resolveFilename.bind(Module);
  loader._resolveFilename = (request, ...rest) =>
    request === name ? name : resolve(request, ...rest);
  const { cache } = createRequire(import.meta.url);
  cache[name] = { id: name, filename: name, loaded: true, exports: core } as NodeJS.Module;
}

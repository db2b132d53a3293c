/** One call of one function, through the programming model's own invocation code. */

import type { Log, LogLevel } from '../log.ts';
import type { InvocationRequest, RegisteredFunction, Registry } from './core-module.ts';

/** Calls as the worker does: arguments, hooks, the handler, hooks, the response. */
export function createInvoke(registry: Registry, log: Log) {
  return async (
    { metadata, handler }: RegisteredFunction,
    request: InvocationRequest,
    invocationId: string,
  ): Promise<unknown> => {
    if (!registry.model) throw new Error('No programming model is registered.');
    const core = {
      invocationId,
      metadata,
      request: { invocationId, ...request },
      state: 'default',
      log: (level: LogLevel, category: string, message: string) =>
        log(level, message, { category }),
    };
    const model = registry.model.getInvocationModel(core);
    const { context, inputs } = await model.getArguments();
    const hook: Record<string, unknown> = {
      inputs,
      functionHandler: handler,
      invocationContext: context,
      hookData: {},
    };
    core.state = 'preInvocationHooks';
    await registry.runHooks('preInvocation', hook);
    core.state = 'invocation';
    try {
      hook['result'] = await model.invokeFunction(
        context,
        hook['inputs'] as unknown[],
        hook['functionHandler'] as typeof handler,
      );
    } catch (error) {
      hook['error'] = error;
    }
    core.state = 'postInvocationHooks';
    await registry.runHooks('postInvocation', hook);
    if (hook['error'] !== undefined) throw hook['error'];
    return model.getResponse(context, hook['result']);
  };
}

import type { LoadedFunction } from '../worker/core-module.ts';

/** The binding that triggers a function, by which a call names its input. */
export function triggerOf({ metadata }: LoadedFunction) {
  const found = Object.entries(metadata.bindings).find(([, { type }]) => /trigger$/i.test(type));
  if (!found) throw new Error(`Function ${metadata.name} has no trigger.`);
  const [name, binding] = found;
  return { name, binding };
}

/**
 * The Service Bus extension (0.2.0) tells a package beside it how messages are made, and `@azure/functions`
 * asks that package: of two copies it would ask the other.
 */
import { createRequire } from 'node:module';
import { SettingsError } from '../errors.ts';

interface Base {
  ResourceFactoryResolver: { getInstance(): { hasResourceFactory(type: string): boolean } };
}

/** By `require`, as both do: an import would be a third. Undefined in a bundle, which has no packages. */
function baseOf(): Base | undefined {
  try {
    return createRequire(import.meta.url)('@azure/functions-extensions-base') as Base;
  } catch {
    return undefined;
  }
}

/** @throws SettingsError */
export function checkExtension(): void {
  const factories = baseOf()?.ResourceFactoryResolver.getInstance();
  if (!factories || factories.hasResourceFactory('AzureServiceBusReceivedMessage')) return;
  throw new SettingsError(
    'There are two copies of @azure/functions-extensions-base, and messages could not be read. Put this into package.json of the app and call npm install: "overrides": { "@azure/functions-extensions-servicebus": { "@azure/functions-extensions-base": "0.3.0" } }',
  );
}

/** host.json: what Longhaul needs, and why, where the app says something else. */
import { addMissing, type Conflict, type Json, type Merged } from './json.ts';

/** Of settings that the app may have for reasons of its own; any other difference is nobody's concern. */
const reasons: Record<string, string> = {
  logging: 'the host writes two lines for each message that a function takes, and they cost',
  'logging.logLevel':
    'the host writes two lines for each message that a function takes, and they cost',
  extensionBundle: 'the functions need the Service Bus extension of a bundle',
  extensions: 'the host works jobs by the settings of Service Bus there',
  'extensions.http': 'the API is below its routePrefix; clients and the doctor expect `api`',
  'extensions.serviceBus': 'the host works jobs by these settings',
  functionTimeout: 'the host ends every job that runs longer, whatever its `timeout` says',
  'extensionBundle.id': 'the functions need the Service Bus extension of this bundle',
  'extensionBundle.version': 'the functions need the Service Bus extension of this version',
  'extensions.http.routePrefix':
    'the API is below this prefix; clients and the doctor expect `api`',
  'extensions.serviceBus.prefetchCount':
    'the locks of messages that wait in a process are not renewed: their jobs run twice',
  'extensions.serviceBus.autoCompleteMessages':
    'nobody answers for a message whose function fails before it begins',
  'extensions.serviceBus.maxConcurrentCalls':
    'so many jobs without a key are worked at once in one process',
  'extensions.serviceBus.maxAutoLockRenewalDuration':
    'a job that runs longer loses its message, and starts again beside itself',
  'extensions.serviceBus.sessionIdleTimeout':
    'jobs of other keys wait so long for a place that an idle session holds',
  'extensions.serviceBus.maxConcurrentSessions': 'so many keys are worked at once in one process',
};

/** A change is of the whole host: what would hush or change the app's own functions is left out. */
function forAnyApp(template: Json): Json {
  const { version: _, logging, ...rest } = template;
  const { logLevel } = logging as { logLevel: Record<string, string> };
  const ours = Object.keys(logLevel).filter((name) => name.startsWith('Function.'));
  const levels = ours.flatMap((name) => [
    [name.replace(/\.User$/, ''), 'Warning'],
    [name, logLevel[name]],
  ]);
  return { ...rest, logging: { logLevel: Object.fromEntries(levels) } };
}

export function mergeHost(text: string, template: Json): Merged {
  const merged = addMissing('host.json', text, forAnyApp(template));
  return { ...merged, conflicts: merged.conflicts.filter(({ path }) => path in reasons) };
}

export const reasonOf = ({ path }: Conflict): string => reasons[path] ?? '';

/** Names of entities, as Azure checks them (learn.microsoft.com: naming rules, Microsoft.ServiceBus). */
import { badArgument } from './errors.ts';

// Spaces Azure refuses; they do no harm here.
const entityName = /^[\p{L}\p{N}](?:[\p{L}\p{N}._\-~/ ]{0,258}[\p{L}\p{N}_])?$/u;
const subscriptionName = /^[\p{L}\p{N}_](?:[\p{L}\p{N}._\-~ ]{0,48}[\p{L}\p{N}_])?$/u;
// The path of a subscription has one meaning only.
const subscriptionPath = /\/subscriptions\/[^/]+$/i;

/** @throws ServiceBusFault */
export function checkName(kind: 'queue' | 'topic' | 'subscription', path: string): void {
  const name = kind === 'subscription' ? (path.split('/').at(-1) ?? '') : path;
  const isGood =
    kind === 'subscription'
      ? subscriptionName.test(name)
      : entityName.test(name) && !name.includes('//') && !subscriptionPath.test(name);
  if (!isGood)
    throw badArgument(
      `SubCode=40000. '${name}' cannot be the name of a ${kind}: letters, digits, periods, hyphens, underscores${kind === 'subscription' ? '' : ' and slashes'}, a letter or digit first.`,
    );
}

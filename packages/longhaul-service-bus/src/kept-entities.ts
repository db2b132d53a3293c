/** Entities as the store keeps them: those that the administration made, changed or removed. */
import type { Description, Kind } from './entity/descriptions.ts';
import type { Rules } from './entity/rules.ts';
import type { Journal, Store } from './store/journal.ts';

export interface KeptEntity {
  kind: Kind;
  path: string;
  /** Of one in the topology file, or it would come back with it. */
  removed?: true;
  description?: Description;
  rules?: Rules['all'];
  createdAt?: number;
  updatedAt?: number;
}

// Before every entity's own keys, which begin with its encoded name.
const prefix = '!entity/';

export const keyOf = (path: string) => path.toLowerCase();

// JSON has no dates, and a rule's filter tells a date from a text.
function replacer(this: Record<string, unknown>, name: string, value: unknown): unknown {
  const own = this[name];
  return own instanceof Date ? { $date: own.getTime() } : value;
}

function reviver(_: string, value: unknown): unknown {
  const ms = (value as { $date?: unknown } | null)?.$date;
  return typeof ms === 'number' ? new Date(ms) : value;
}

export async function readEntities(store: Store): Promise<Map<string, KeptEntity>> {
  const kept = new Map<string, KeptEntity>();
  for await (const some of store.read(prefix))
    for (const [key, value] of some)
      kept.set(key.slice(prefix.length), JSON.parse(value.toString(), reviver) as KeptEntity);
  return kept;
}

export function keepEntity(journal: Journal, entity: KeptEntity): void {
  journal.set(prefix + keyOf(entity.path), Buffer.from(JSON.stringify(entity, replacer)));
}

export function forgetEntity(journal: Journal, path: string): void {
  journal.set(prefix + keyOf(path), undefined);
}

import type { Store } from './journal.ts';

/** Keeps nothing beyond the process: for tests, and the measure of what durability costs. */
export function openMemoryStore(): Store {
  const pairs = new Map<string, Buffer>();
  return {
    async *read(prefix) {
      for (const key of [...pairs.keys()].sort()) {
        const value = pairs.get(key);
        if (key.startsWith(prefix) && value) yield [key, value];
      }
    },
    async write(changes) {
      for (const { key, value } of changes) {
        if (value) pairs.set(key, value);
        else pairs.delete(key);
      }
    },
    async close() {},
  };
}

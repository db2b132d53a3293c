import type { Store } from './journal.ts';

/** Keeps nothing beyond the process, which has all it needs in its own objects. */
export const openMemoryStore = (): Store => ({
  isVolatile: true,
  async *read() {},
  async write() {},
  async close() {},
});

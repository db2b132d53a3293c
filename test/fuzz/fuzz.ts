/** The stack under requests and messages that nobody sends by accident. */
import { createClient } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { fuzzApi } from './api.ts';
import { fuzzMessages } from './messages.ts';

export interface Fuzzed {
  /** By status. */
  requests: Record<number, number>;
  messages: number;
}

/** Half of the time each. @throws with what broke, and the seed by which it does again */
export async function fuzz(seed: number, ms: number): Promise<Fuzzed> {
  const stack = await testStack({ main: 'dist/test/fuzz/app.js' });
  const died = stack.ended.then((part) => {
    throw new Error(`${part} died of what was asked last (seed ${seed}).`);
  });
  const run = async () => {
    const client = createClient(stack.url);
    const ids = await Promise.all([
      client.submit('fuzz.any', 1),
      client.submit('fuzz.waiting', { name: 'a' }),
      client.submit('fuzz.keyed', { key: 'k' }, { delay: '1h' }),
    ]);
    const { url, serviceBus } = stack;
    const half = { url, seed, ms: ms / 2 };
    const requests = await fuzzApi({ ...half, ids: ids.map(({ id }) => id) });
    return { requests, messages: await fuzzMessages({ ...half, serviceBus }) };
  };
  try {
    return await Promise.race([run(), died]);
  } finally {
    died.catch(() => undefined);
    await stack.remove();
  }
}

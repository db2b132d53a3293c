/** Something held against a model of it, through any sequence of what is done to it. */
import { fc } from './properties.ts';

interface Modelled {
  open(): Promise<void>;
  /** @throws AssertionError where the two differ */
  check(): void;
  readonly namespace: { close(): Promise<void> };
}

export type Action<W> = (world: W, n: number) => Promise<void> | void;

export async function doesAsTheModel<W extends Modelled>(
  newWorld: () => W,
  actions: Record<string, Action<W>>,
  steps: fc.ArrayConstraints,
): Promise<void> {
  const step = fc.tuple(fc.constantFrom(...Object.keys(actions)), fc.nat(1000));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, ...steps }), async (taken) => {
      const world = newWorld();
      await world.open();
      for (const [name, n] of taken) {
        await actions[name]?.(world, n);
        world.check();
      }
      await world.namespace.close();
    }),
    { numRuns: 300 },
  );
}

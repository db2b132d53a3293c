import { ConflictError } from '../errors.ts';

/** Reads, changes and writes until nobody else wrote in between. */
export async function untilWritten<T>(act: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
}

import { ConflictError } from '../errors.ts';

// Each try that meets another writer means that somebody wrote. So many in a row mean that it is not
// another writer that is in the way.
export const maxTries = 100;

/** Reads, changes and writes until nobody else wrote in between. @throws ConflictError in the end */
export async function retryOnConflict<T>(act: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ConflictError) || tries === maxTries) throw error;
    }
  }
}

/** Does it for all, so many at once, and answers in their order. Nothing is under way any more when it throws. */
export async function mapInChunks<T, R>(
  all: readonly T[],
  atOnce: number,
  act: (one: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < all.length; from += atOnce) {
    const some = all.slice(from, from + atOnce);
    const ended = await Promise.allSettled(some.map((one, at) => act(one, from + at)));
    for (const one of ended) {
      if (one.status === 'rejected') throw one.reason;
      results.push(one.value);
    }
  }
  return results;
}

/** Does it for all, so many at once, and answers in their order. */
export async function inParts<T, R>(
  all: readonly T[],
  atOnce: number,
  act: (one: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < all.length; from += atOnce) {
    const some = all.slice(from, from + atOnce);
    results.push(...(await Promise.all(some.map((one, at) => act(one, from + at)))));
  }
  return results;
}

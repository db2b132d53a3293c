/** Made once for each name, when it is first asked for. */
export function remembered<T>(make: (name?: string) => T): (name?: string) => T {
  const made = new Map<string | undefined, T>();
  return (name) => {
    const known = made.get(name) ?? make(name);
    made.set(name, known);
    return known;
  };
}

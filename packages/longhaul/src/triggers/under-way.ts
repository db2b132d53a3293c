/** What this process has taken from the broker and not answered yet. */
export class UnderWay {
  readonly #all = new Set<Promise<unknown>>();

  during<T>(work: Promise<T>): Promise<T> {
    this.#all.add(work);
    const end = () => void this.#all.delete(work);
    work.then(end, end);
    return work;
  }

  /** Resolves when all is answered, or after `withinMs`. */
  async answered(withinMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, withinMs);
    });
    const all = Promise.allSettled(this.#all).then(() => undefined);
    await Promise.race([all, late]).finally(() => clearTimeout(timer));
  }
}

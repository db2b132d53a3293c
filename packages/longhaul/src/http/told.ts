/** What somebody was told lately, by ids that sort by time: what is older no look brings again. */
export class Told {
  readonly #ids = new Set<string>();

  /** True the first time. */
  tell(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    return true;
  }

  forgetBefore(oldest: string): void {
    for (const id of this.#ids) if (id < oldest) this.#ids.delete(id);
  }

  get size(): number {
    return this.#ids.size;
  }
}

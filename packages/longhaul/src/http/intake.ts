/**
 * How much is taken in at once. A request beyond that is told to come again, so that those before it are
 * served and memory stays bounded.
 */
import type { HttpRequest } from '@azure/functions';
import { LonghaulError } from '../errors.ts';

export class OverloadedError extends LonghaulError {
  constructor() {
    const told = 'Too much is being taken in at once: nothing was changed. Try again.';
    super('overloaded', 503, told, { retryAfterSeconds: 1 });
  }
}

// A request costs some even without a body, and five hundred at once are seconds of work: whoever comes
// after them is better told so than kept waiting. As JSON a body takes several times its size.
const leastBytes = 64 * 1024;
const mostBytes = 32 * 1024 * 1024;

export class Intake {
  readonly #most: number;
  readonly #held = new WeakMap<HttpRequest, number>();
  #bytes = 0;

  constructor(most = mostBytes) {
    this.#most = most;
  }

  /** Of this request so many bytes in all are here, or about to come. @throws OverloadedError */
  hold(request: HttpRequest, bytes: number): void {
    const held = this.#held.get(request) ?? 0;
    const more = Math.max(bytes, leastBytes) - held;
    if (more <= 0) return;
    // The only one is served, whatever its size.
    if (this.#bytes > held && this.#bytes + more > this.#most) throw new OverloadedError();
    this.#held.set(request, held + more);
    this.#bytes += more;
  }

  /** It is answered. */
  letGo(request: HttpRequest): void {
    this.#bytes -= this.#held.get(request) ?? 0;
    this.#held.delete(request);
  }
}

/** Of this process. */
export const intake = new Intake();

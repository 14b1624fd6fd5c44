/**
 * Aborts when it is told to, or when a signal that it follows does, with the reason of that one. For work that is shorter
 * than what stops it, in the place of `AbortSignal.any`: Node keeps a note of every signal that `any` has returned on the
 * signals it was made of, for as long as those live, so a long conversation would grow with each of its turns.
 *
 * {@link release} MUST be called when the work is over; aborting it releases, too.
 */
export class FollowingController {
  readonly #controller = new AbortController();
  readonly #followed: AbortSignal;
  readonly #follow = (): void => this.#controller.abort(this.#followed.reason);

  constructor(followed: AbortSignal) {
    this.#followed = followed;
    if (followed.aborted) this.#follow();
    else followed.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.release();
    this.#controller.abort(reason);
  }

  /** From now on it follows nobody. */
  release(): void {
    this.#followed.removeEventListener('abort', this.#follow);
  }
}

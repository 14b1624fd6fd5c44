/**
 * Items on their way from one part of a turn to another. Ends when it is closed; when `signal`
 * aborts, whoever waits is rejected with the signal's reason.
 */
export class AsyncQueue<T> implements AsyncIterable<T> {
  readonly #signal: AbortSignal;
  readonly #weigh: (item: T) => number;
  readonly #items: T[] = [];
  #load = 0;
  #closed = false;
  readonly #waiting: (() => void)[] = [];

  /** @param weigh what an item adds to the load; 1 by default. */
  constructor(signal: AbortSignal, weigh: (item: T) => number = () => 1) {
    this.#signal = signal;
    this.#weigh = weigh;
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  /** Sum of the weights of what waits. */
  get load(): number {
    return this.#load;
  }

  get closed(): boolean {
    return this.#closed;
  }

  push(item: T): void {
    if (this.#closed) return;
    this.#items.push(item);
    this.#load += this.#weigh(item);
    this.#wake();
  }

  /** Nothing more will be pushed; what waits can still be taken. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** The next item; `undefined` when the queue is closed and empty. */
  async take(): Promise<T | undefined> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#items.length > 0) {
        const item = this.#items.shift()!;
        this.#load -= this.#weigh(item);
        this.#wake();
        return item;
      }
      if (this.#closed) return undefined;
      await this.#change();
    }
  }

  /** Resolves when the load is not above `limit`. For producers that must not run ahead. */
  async room(limit: number): Promise<void> {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#load <= limit) return;
      await this.#change();
    }
  }

  /** Takes out what waits without waiting. */
  drain(): T[] {
    const items = this.#items.splice(0);
    this.#load = 0;
    this.#wake();
    return items;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (;;) {
      const item = await this.take();
      if (item === undefined) return;
      yield item;
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }
}

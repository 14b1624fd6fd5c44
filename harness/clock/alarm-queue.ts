import type { Alarm } from './clock.ts';

/** An alarm that knows its callback; a member of an {@link AlarmQueue}. */
export interface QueuedAlarm extends Alarm {
  readonly callback: () => void;
}

interface Entry extends QueuedAlarm {
  callback: () => void;
  readonly order: number;
  cancelled: boolean;
}

/** Cancelled alarms that are not worth the work of dropping them. */
const cancelledAllowed = 64;

const nothing = (): void => {};

/**
 * Pending alarms, earliest first; alarms of one instant in the order in which they were set.
 * A binary heap; a cancelled alarm stays in it until it reaches the top, or until most of them are cancelled: a limit of an hour that
 * is set anew with each message would otherwise fill it for an hour. It holds nothing of whoever set it.
 */
export class AlarmQueue {
  readonly #heap: Entry[] = [];
  #order = 0;
  #live = 0;

  /** Alarms that are neither cancelled nor taken. */
  get size(): number {
    return this.#live;
  }

  /** What it holds: {@link size}, and cancelled alarms that are not dropped yet. */
  get held(): number {
    return this.#heap.length;
  }

  add(dueUs: number, callback: () => void): QueuedAlarm {
    const entry: Entry = {
      dueUs,
      callback,
      order: this.#order++,
      cancelled: false,
      cancel: () => {
        if (entry.cancelled) return;
        entry.cancelled = true;
        entry.callback = nothing;
        this.#live--;
        if (this.#heap.length > 2 * this.#live + cancelledAllowed) this.#dropAllCancelled();
      },
    };
    this.#heap.push(entry);
    this.#live++;
    this.#rise(this.#heap.length - 1);
    return entry;
  }

  /** The earliest live alarm, left in place. */
  peek(): QueuedAlarm | undefined {
    this.#dropCancelled();
    return this.#heap[0];
  }

  /** The earliest live alarm, removed. Cancelling it afterwards changes nothing. */
  take(): QueuedAlarm | undefined {
    this.#dropCancelled();
    const first = this.#heap[0];
    if (first === undefined) return undefined;
    this.#removeFirst();
    first.cancelled = true;
    this.#live--;
    return first;
  }

  #dropAllCancelled(): void {
    const live = this.#heap.filter(({ cancelled }) => !cancelled);
    this.#heap.length = 0;
    for (const entry of live) {
      this.#heap.push(entry);
      this.#rise(this.#heap.length - 1);
    }
  }

  #dropCancelled(): void {
    while (this.#heap[0]?.cancelled) this.#removeFirst();
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #rise(start: number): void {
    let child = start;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#before(child, parent)) return;
      this.#swap(child, parent);
      child = parent;
    }
  }

  #sink(start: number): void {
    let parent = start;
    for (;;) {
      const left = 2 * parent + 1;
      let first = parent;
      if (left < this.#heap.length && this.#before(left, first)) first = left;
      if (left + 1 < this.#heap.length && this.#before(left + 1, first)) first = left + 1;
      if (first === parent) return;
      this.#swap(parent, first);
      parent = first;
    }
  }

  #before(i: number, k: number): boolean {
    const a = this.#heap[i]!;
    const b = this.#heap[k]!;
    return a.dueUs < b.dueUs || (a.dueUs === b.dueUs && a.order < b.order);
  }

  #swap(i: number, k: number): void {
    const held = this.#heap[i]!;
    this.#heap[i] = this.#heap[k]!;
    this.#heap[k] = held;
  }
}

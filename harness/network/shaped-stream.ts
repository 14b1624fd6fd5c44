import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/clock.ts';
import type { Air, Heading } from './air.ts';
import { ArrivalLane } from './arrival-lane.ts';
import { directionOf, type LinkDirection } from './link.ts';
import { SocketLikeStream, socketError } from './socket-like-stream.ts';

interface PendingWrite {
  rest: Buffer;
  readonly callback: (error?: Error | null) => void;
}

/** A stream underneath: a `MemoryStream` or a `net.Socket`. */
export type InnerStream = Duplex & { resetAndDestroy?(): unknown };

/**
 * The client's end of a connection seen through a link: everything is delayed, paced, stalled and
 * windowed as {@link LinkProfile} says, in both directions, on the clock. The stream underneath is
 * in memory or a socket; the shaping is the same code in virtual and in real time.
 *
 * The window counts bytes that are under way or that the receiver has not taken yet, and is opened
 * again one latency after the receiver took them, as TCP's is.
 */
export class ShapedStream extends SocketLikeStream {
  readonly #inner: InnerStream;
  readonly #clock: Clock;
  readonly #air: Air;
  readonly #up: LinkDirection;
  readonly #down: LinkDirection;
  readonly #writes: PendingWrite[] = [];
  readonly #arrived: Buffer[] = [];
  readonly #upLane: ArrivalLane;
  readonly #downLane: ArrivalLane;
  #upInFlight = 0;
  #downInFlight = 0;
  #wanted = true;
  #finish: ((error?: Error | null) => void) | undefined;
  #innerEnded = false;
  #endArrived = false;
  /** The other side is gone, and nobody says so. */
  #mute = false;

  constructor(inner: InnerStream, air: Air, up: LinkDirection, down: LinkDirection, clock: Clock) {
    super({ allowHalfOpen: false, readableHighWaterMark: air.profile.windowBytes ?? 64 * 1024 });
    this.#inner = inner;
    this.#clock = clock;
    this.#air = air;
    this.#up = up;
    this.#down = down;
    this.#upLane = new ArrivalLane(clock);
    this.#downLane = new ArrivalLane(clock);
    inner.on('readable', () => this.#pumpDown());
    inner.on('end', () => {
      this.#innerEnded = true;
      this.#pumpDown();
    });
    inner.on('error', (error: Error) =>
      this.#downLane.send(this.#down.arrivalUs(0, clock.nowUs()), () => {
        if (!this.#mute) this.destroy(error);
      }),
    );
    inner.on('close', () => {
      if (!this.#innerEnded)
        this.#downLane.send(this.#down.arrivalUs(0, clock.nowUs()), () => this.#deliverEnd());
    });
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#writes.push({ rest: chunk, callback });
    this.#pumpUp();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#finish = callback;
    this.#pumpUp();
  }

  override _read(): void {
    this.#wanted = true;
    this.#deliver();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    for (const write of this.#writes.splice(0)) write.callback(socketError('EPIPE', 'write'));
    this.#arrived.length = 0;
    // What is under way still arrives; the end of the connection travels behind it.
    this.#upLane.send(this.#up.arrivalUs(0, this.#clock.nowUs()), () => {
      if (!this.#mute) this.#inner.destroy();
    });
    callback(error);
  }

  /** Cuts the connection for both ends at once, without a trace of an orderly end. */
  resetAndDestroy(): this {
    if (this.#inner.resetAndDestroy !== undefined) this.#inner.resetAndDestroy();
    else this.#inner.destroy();
    return this.destroy(socketError('ECONNRESET', 'read'));
  }

  /** From now on nothing passes in either direction, and neither end learns that it is alone. */
  mute(): void {
    this.#mute = true;
  }

  /** Ends the connection in order, for both ends. */
  endBoth(): void {
    this.#inner.destroy();
    this.#downLane.send(this.#clock.nowUs(), () => this.#deliverEnd());
  }

  #later(atUs: number, action: () => void): void {
    const delayUs = atUs - this.#clock.nowUs();
    if (delayUs <= 0) action();
    else this.#clock.after(delayUs, action);
  }

  #pumpUp(): void {
    for (;;) {
      const write = this.#writes[0];
      if (write === undefined) break;
      const room = this.#windowBytes - this.#upInFlight;
      if (room <= 0) return;
      const segment = write.rest.subarray(0, Math.min(room, write.rest.length));
      write.rest = write.rest.subarray(segment.length);
      if (write.rest.length === 0) this.#writes.shift();
      this.#sendUp(segment);
      if (write.rest.length === 0) write.callback();
    }
    const finish = this.#finish;
    if (finish === undefined) return;
    this.#finish = undefined;
    this.#upLane.send(this.#up.arrivalUs(0, this.#clock.nowUs()), () => {
      if (!this.#mute) this.#inner.end();
    });
    finish();
  }

  #sendUp(segment: Buffer): void {
    this.#upInFlight += segment.length;
    this.#upLane.send(this.#up.arrivalUs(segment.length, this.#clock.nowUs()), () => {
      if (this.#inner.destroyed || this.#inner.writableEnded) return;
      // Nobody acknowledges what is sent: where there is a window, it fills, and the sender waits for ever.
      if (this.#mute) return;
      this.#inner.write(segment, () =>
        this.#acknowledge('down', () => {
          this.#upInFlight -= segment.length;
          if (!this.destroyed) this.#pumpUp();
        }),
      );
    });
  }

  #pumpDown(): void {
    if (this.#mute) return;
    for (;;) {
      const room = this.#windowBytes - this.#downInFlight;
      if (room <= 0) return;
      // Reading no more than fits leaves the rest where its writer feels it.
      const ready = Math.min(room, this.#inner.readableLength);
      const segment: Buffer | null = ready === 0 ? this.#inner.read() : this.#inner.read(ready);
      if (segment === null) break;
      this.#downInFlight += segment.length;
      this.#downLane.send(this.#down.arrivalUs(segment.length, this.#clock.nowUs()), () => {
        if (this.destroyed || this.#mute) return;
        this.#arrived.push(segment);
        this.#deliver();
      });
    }
    if (this.#innerEnded && !this.#endArrived) {
      this.#downLane.send(this.#down.arrivalUs(0, this.#clock.nowUs()), () => this.#deliverEnd());
    }
  }

  #deliver(): void {
    while (this.#wanted && this.#arrived.length > 0) {
      const segment = this.#arrived.shift()!;
      this.#wanted = this.push(segment);
      this.#acknowledge('up', () => {
        this.#downInFlight -= segment.length;
        if (!this.destroyed) this.#pumpDown();
      });
    }
    if (this.#endArrived && this.#arrived.length === 0 && !this.readableEnded) this.push(null);
  }

  #deliverEnd(): void {
    if (this.#endArrived || this.destroyed || this.#mute) return;
    this.#endArrived = true;
    this.#deliver();
  }

  get #windowBytes(): number {
    return this.#air.profile.windowBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Opens the window again, when there is one, as late as the acknowledgement needs to travel. */
  #acknowledge(heading: Heading, open: () => void): void {
    const { profile } = this.#air;
    if (profile.windowBytes === undefined) open();
    else this.#later(this.#clock.nowUs() + directionOf(profile, heading).latencyUs, open);
  }
}

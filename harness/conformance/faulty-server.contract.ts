/** A server between a client and the real one that breaks what passes: mutations for tests. */
import type { Duplex } from 'node:stream';
import { decodeServerEvent, type ServerEvent } from '../../firmware-protocol/server-event.ts';
import type { MemoryStream } from '../network/memory-stream.ts';
import {
  encodeFrame,
  type Frame,
  FrameReader,
  opcodes,
  type ReadFrame,
} from '../network/web-socket-frame.ts';
import { encodeHead, type HttpHead, readHead } from './http-message.ts';

export interface Mutation {
  /** What becomes of the answer to the handshake. */
  head?(head: HttpHead): HttpHead;
  /** What is sent for a message of the server; called with its event, when it is one. */
  message?(frame: ReadFrame, event: ServerEvent | undefined): readonly Frame[];
  /** Breaks the connection off behind this event. */
  closeAfter?: ServerEvent['type'];
  /** Answers nothing at all. */
  silent?: boolean;
  /** Closes instead of answering. */
  refusing?: boolean;
}

/** @returns what to give to `listen` in the place of `accept` */
export function mutate(
  { head, message, closeAfter, silent, refusing }: Mutation,
  accept: (stream: Duplex) => void,
  pair: () => { client: MemoryStream; server: MemoryStream },
): (stream: Duplex) => void {
  return (outside) => {
    outside.on('error', () => {});
    if (refusing === true) {
      outside.destroy();
      return;
    }
    if (silent === true) {
      outside.resume();
      return;
    }
    const { client: inside, server } = pair();
    accept(server);
    inside.on('error', () => {});
    outside.on('data', (chunk: Buffer) => inside.write(chunk));
    outside.on('close', () => inside.destroy());
    inside.on('close', () => outside.end());
    let begun: Buffer = Buffer.alloc(0);
    let upgraded = false;
    const reader = new FrameReader();
    const forward = (bytes: Buffer): void => {
      for (const frame of reader.push(bytes)) {
        const decoded =
          frame.opcode === opcodes.binary
            ? decodeServerEvent(frame.payload, { dialect: 'any' })
            : undefined;
        const event = decoded?.ok ? decoded.event : undefined;
        const out = frame.opcode < 8 && message !== undefined ? message(frame, event) : [frame];
        for (const each of out) outside.write(encodeFrame(each));
        if (closeAfter !== undefined && event?.type === closeAfter) outside.destroy();
      }
    };
    inside.on('data', (chunk: Buffer) => {
      if (upgraded) {
        forward(chunk);
        return;
      }
      begun = Buffer.concat([begun, chunk]);
      const read = readHead(begun);
      if (read === undefined) return;
      upgraded = / 101 /.test(read.head.first);
      if (!upgraded) {
        outside.write(begun);
        begun = Buffer.alloc(0);
        return;
      }
      outside.write(encodeHead(head === undefined ? read.head : head(read.head)));
      forward(read.rest);
    });
  };
}

import type { CutCode, RefusalCode } from './server-limits.ts';

/**
 * What the adapter server reports of itself. Recorded as it is under the sources `server` and
 * `provider`. `turn` counts `StartChat` (or `Text`) commands per device id from 1; `sentence`
 * counts spoken sentences per device id from 1, so it equals the count of `StartAudio` sent;
 * `frame` counts binary messages written per connection from 1; `request` counts provider requests
 * of the server from 1.
 */
export type ServerEvent = { readonly atUs: number } & (
  | {
      readonly type: 'connected';
      readonly connection: number;
      readonly deviceId: string;
      readonly reconnect: boolean;
      readonly opus: boolean;
      readonly vowel: boolean;
      readonly streamAsr: boolean;
    }
  | { readonly type: 'disconnected'; readonly connection: number; readonly code: number }
  /** Somebody was not let in, by a rule or a limit of this server; `status` is what HTTP said. */
  | {
      readonly type: 'refused';
      readonly status: number;
      readonly code: RefusalCode;
      readonly message: string;
    }
  /** The server ends a connection because of what the board does; `closeCode` is that of the close frame. */
  | {
      readonly type: 'cut';
      readonly connection: number;
      readonly code: CutCode;
      readonly closeCode: number;
      readonly message: string;
    }
  /** The server was made to send a ping. */
  | { readonly type: 'ping'; readonly connection: number }
  /** The board answered a ping, this long after the last one was sent. */
  | { readonly type: 'pong'; readonly connection: number; readonly afterUs: number }
  /** A connection in record mode: its audio goes into this file. */
  | {
      readonly type: 'recordStart';
      readonly connection: number;
      readonly deviceId: string;
      readonly file: string;
    }
  | {
      readonly type: 'recordEnd';
      readonly connection: number;
      readonly file: string;
      readonly samples: number;
      /** 60 s of silence, the board, this server closing, its greatest length, or a disk that takes no more. */
      readonly by: 'idle' | 'close' | 'server' | 'limit' | 'disk';
      /** What became of the call to whoever waits for recordings; `none` when there was none. */
      readonly callback: 'none' | 'made' | 'failed';
      /** Why it failed. */
      readonly message?: string;
    }
  | {
      readonly type: 'turnStart';
      readonly connection: number;
      readonly turn: number;
      readonly mode: 'stream' | 'submit' | 'text';
    }
  /** Microphone audio arrived. */
  | {
      readonly type: 'uplink';
      readonly connection: number;
      readonly samples: number;
      readonly totalSamples: number;
    }
  | { readonly type: 'commandIgnored'; readonly connection: number; readonly reason: string }
  /** The server decided that the user has finished. */
  | {
      readonly type: 'endOfTurn';
      readonly connection: number;
      readonly turn: number;
      readonly by: 'EndVad' | 'Submit' | 'Text';
      /** Audio of this utterance received so far. */
      readonly uplinkSamples: number;
      /** False when no speech was found in it. */
      readonly speech: boolean;
    }
  | { readonly type: 'asr'; readonly turn: number; readonly text: string; readonly final: boolean }
  /** A piece of the reply arrived from the language model. */
  | { readonly type: 'replyText'; readonly turn: number; readonly text: string }
  /** A sentence was handed to the speech adapter. */
  | {
      readonly type: 'sentence';
      readonly turn: number;
      readonly sentence: number;
      readonly text: string;
    }
  /** A chat model has rewritten the sentence for its adapter; `atUs` is when its reply was complete. */
  | {
      readonly type: 'textOptimization';
      readonly turn: number;
      readonly sentence: number;
      readonly startedUs: number;
      readonly url: string;
      /** What is spoken in place of the sentence's text. */
      readonly text: string;
      readonly charactersIn: number;
      readonly charactersOut: number;
    }
  /** A message was written to the device's socket. */
  | {
      readonly type: 'frame';
      readonly connection: number;
      readonly frame: number;
      readonly turn: number;
      /** Absent for events that belong to no sentence. */
      readonly sentence?: number;
      readonly event: string;
      readonly bytes: number;
      /** Audio in this frame, padding included. */
      readonly samples?: number;
    }
  /** The ledger of one sentence when its last frame was written. */
  | {
      readonly type: 'framed';
      readonly turn: number;
      readonly sentence: number;
      /** Samples taken from the adapter for this sentence. */
      readonly samplesIn: number;
      /** Samples in frames, padding included. */
      readonly samplesOut: number;
      readonly paddedSamples: number;
      /** Samples that were neither framed nor padded out (lossy mode, interrupted sentence). */
      readonly lostSamples: number;
      /** Of `lostSamples`: what of whole blocks filled no packet (EchoKit's framing). */
      readonly remainderSamples?: number;
      /** Of `lostSamples`: the same of the last, shorter block. */
      readonly tailSamples?: number;
      readonly frames: number;
    }
  | {
      readonly type: 'turnEnd';
      readonly turn: number;
      readonly outcome: 'spoken' | 'empty' | 'failed' | 'interrupted';
      /** Failure class of the first failure in the turn. */
      readonly failure?: string;
      /** What happened, in words. */
      readonly message?: string;
    }
);

/** What the server saw of the provider, through the adapter. Recorded under source `provider`. */
export type ProviderEvent = { readonly atUs: number; readonly request: number } & (
  | {
      readonly type: 'request';
      readonly turn: number;
      /** First sentence that this request speaks. */
      readonly sentence: number;
      readonly platform: string;
      readonly url: string;
      readonly reused: boolean;
      readonly decidedUs: number;
      readonly connectedUs: number;
      readonly characters: number;
    }
  | {
      readonly type: 'responseHead';
      readonly status: number;
      readonly contentType?: string;
      readonly requestId?: string;
    }
  /** Audio arrived. `samples` are 16 kHz samples yielded by the adapter for this chunk. */
  | {
      readonly type: 'chunk';
      readonly sentence: number;
      readonly sourceBytes: number;
      readonly sourceRateHz: number;
      readonly sourceChannels: number;
      readonly samples: number;
    }
  | {
      readonly type: 'end';
      readonly sourceFrames: number;
      readonly samples: number;
      /** What the provider says it counted, where it says so. */
      readonly usage?: {
        readonly inputTokens?: number;
        readonly outputTokens?: number;
        readonly billedCharacters?: number;
      };
    }
  | {
      readonly type: 'failure';
      readonly turn: number;
      readonly sentence: number;
      readonly kind: string;
      readonly code: string;
      readonly message: string;
      readonly retryable: boolean;
      readonly deliveredSamples: number;
      readonly status?: number;
      readonly providerCode?: string;
      /** How long the provider asked to wait. */
      readonly retryAfterMs?: number;
    }
  /** The request failed and is made again, as the EchoKit server does for some platforms. */
  | {
      readonly type: 'retry';
      /** The try that failed, from 1. */
      readonly attempt: number;
      readonly kind: string;
      readonly code: string;
      readonly message: string;
      readonly deliveredSamples: number;
    }
  /** The server stopped the request because the turn was interrupted. */
  | {
      readonly type: 'cancelled';
      readonly turn: number;
      readonly sentence: number;
      readonly deliveredSamples: number;
    }
);

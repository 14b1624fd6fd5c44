/**
 * Tiny servers for tests that speak the wire protocols of sections 3.2, 4, 6 to 9 over given
 * streams and do what a script says. They are no stand-ins: no voice, no profile, no state.
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { decode, encode } from '@msgpack/msgpack';
import { type WebSocket, WebSocketServer } from 'ws';
import { bytesOf, pcmBytes, wavHeader } from './audio/wav-fixture.contract.ts';
import type { AdapterClock } from './speech-adapter.ts';

export interface WireScript {
  /**
   * `speak`: everything. `cut`: the connection is torn down after half of the chunks. `stall`:
   * nothing comes after half of the chunks. `silent`: no answer at all. `empty`: an orderly answer
   * without audio. `refuse`: the key is refused.
   */
  readonly outcome: 'speak' | 'cut' | 'stall' | 'silent' | 'empty' | 'refuse';
  readonly chunkBytes: number;
  /** Wait before each chunk. */
  readonly gapUs: number;
  /** Samples of audio per character of text. */
  readonly samplesPerCharacter: number;
}

export const steadyScript: WireScript = {
  outcome: 'speak',
  chunkBytes: 4_001,
  gapUs: 30_000,
  samplesPerCharacter: 480,
};

export interface ScriptedWire {
  readonly accept: (stream: Duplex) => void;
  readonly log: WireLog;
}

export interface WireLog {
  connections: number;
  /** Streams that are still open. */
  open: number;
  /** Request line and headers as they came, lower case names. */
  readonly requests: { path: string; headers: IncomingHttpHeaders }[];
  /** Bodies, or messages of a socket; MessagePack as the JSON it stands for. */
  readonly received: string[];
  /** Chunks of audio (without headers) that were sent. */
  readonly chunks: { atUs: number; bytes: number }[];
}

/**
 * What the servers say for a text: each character has its own sound, so the audio of two pieces in
 * a row is the audio of the whole.
 */
export function voice(text: string, samplesPerCharacter: number): Int16Array {
  const samples = new Int16Array(text.length * samplesPerCharacter);
  for (let at = 0; at < samples.length; at++) {
    const code = text.charCodeAt(Math.floor(at / samplesPerCharacter));
    samples[at] = ((at % samplesPerCharacter) * code * 2_654_435 + code * 97) % 20_011;
  }
  return samples;
}

/** Answers a POST with audio, chunked. */
export function httpWire(
  clock: AdapterClock,
  script: WireScript,
  options: {
    /** Member of the body, a map in JSON or MessagePack, that holds the text. */
    readonly textKey: string;
    readonly contentType: string;
    readonly refusal: { readonly status: number; readonly body: string };
    /** Rate of the WAV header with placeholder sizes that is sent first; absent: raw PCM. */
    readonly wavRateHz?: number;
    /** How a chunk of audio looks in the body, and what closes a complete answer; absent: as it is. */
    readonly framing?: { readonly frame: (chunk: Uint8Array) => string; readonly trailer: string };
    /** Those sizes; absent: OpenAI's. */
    readonly wavSizes?: { readonly riffSize: number; readonly dataSize: number };
  },
): ScriptedWire {
  const log = emptyLog();
  const server = createServer(
    { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 },
    (request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece) => pieces.push(piece));
      request.on('end', () => {
        const bytes = Buffer.concat(pieces);
        const packed = request.headers['content-type'] === 'application/msgpack';
        const body = packed ? JSON.stringify(decode(bytes)) : String(bytes);
        log.requests.push({ path: request.url ?? '', headers: request.headers });
        log.received.push(body);
        answer(String((JSON.parse(body) as Record<string, unknown>)[options.textKey]), response);
      });
    },
  );
  const answer = (text: string, response: ServerResponse): void => {
    response.sendDate = false;
    if (script.outcome === 'silent') return;
    if (script.outcome === 'refuse') {
      response.writeHead(options.refusal.status, { 'content-type': 'application/json' });
      response.end(options.refusal.body);
      return;
    }
    response.writeHead(200, { 'content-type': options.contentType, 'x-request-id': 'req_1' });
    if (options.wavRateHz !== undefined) {
      const { wavSizes = { riffSize: 0xffff_ffff, dataSize: 0xffff_ffff } } = options;
      response.write(wavHeader(0, { rateHz: options.wavRateHz, ...wavSizes }));
    } else response.flushHeaders();
    sendChunks(clock, script, log, pcmBytes(voice(text, script.samplesPerCharacter)), {
      write: (chunk, done) => void response.write(options.framing?.frame(chunk) ?? chunk, done),
      end: () => response.end(options.framing?.trailer),
      cut: () => response.socket?.destroy(),
    });
  };
  return { accept: acceptor(log, (stream) => void server.emit('connection', stream)), log };
}

/** Speaks `stream-input`: audio of each flushed piece, `isFinal` and close 1000 after the end. */
export function elevenLabsWire(clock: AdapterClock, script: WireScript, key: string): ScriptedWire {
  return socketWire(clock, script, elevenLabsRefusal(key), (socket, speak) => async (data) => {
    const { text } = JSON.parse(String(data)) as { text: string };
    if (text === '') {
      socket.send('{"audio":null,"isFinal":true,"alignment":null}');
      socket.close(1000);
    } else if (text !== ' ') {
      await speak(text, (chunk, done) => {
        const audio = Buffer.from(chunk).toString('base64');
        socket.send(JSON.stringify({ audio, isFinal: null, alignment: null }), done);
      });
    }
  });
}

/** Speaks the dialogue socket: audio at each `flush`, `is_final` and close 1000 at `close_socket`. */
export function dialogueWire(clock: AdapterClock, script: WireScript, key: string): ScriptedWire {
  return socketWire(clock, script, elevenLabsRefusal(key), (socket, speak) => {
    let buffered = '';
    return async (data) => {
      const message = JSON.parse(String(data)) as {
        inputs?: { text: string }[];
        flush?: true;
        close_socket?: true;
      };
      for (const { text } of message.inputs ?? []) buffered += text;
      if (message.flush) {
        await speak(buffered, (chunk, done) => {
          const audio = Buffer.from(chunk).toString('base64');
          socket.send(JSON.stringify({ audio }), done);
        });
        buffered = '';
        socket.send('{"is_final_audio_for_turn":true}');
      }
      if (message.close_socket) {
        socket.send('{"is_final":true}');
        socket.close(1000);
      }
    };
  });
}

/** Speaks CosyVoice's tasks: `task-started`, binary audio of each text, `task-finished`; stays open. */
export function cosyVoiceWire(clock: AdapterClock, script: WireScript, key: string): ScriptedWire {
  const refusal = `{"code":"invalid_api_key","message":"Invalid API-key provided: ${key}"}`;
  return socketWire(clock, script, refusal, (socket, speak) => async (data) => {
    const { header, payload } = JSON.parse(String(data)) as {
      header: { action: string; task_id: string };
      payload: { input: { text?: string } };
    };
    const event = (name: string): void =>
      socket.send(
        JSON.stringify({ header: { task_id: header.task_id, event: name }, payload: {} }),
      );
    if (header.action === 'run-task') event('task-started');
    else if (header.action === 'finish-task') event('task-finished');
    else {
      await speak(payload.input.text ?? '', (chunk, done) =>
        socket.send(chunk, { binary: true }, done),
      );
    }
  });
}

/** Answers Fish's POST; with a rate, by a WAV whose sizes are Fish's own placeholders. */
export function fishWire(
  clock: AdapterClock,
  script: WireScript,
  key: string,
  wavRateHz?: number,
): ScriptedWire {
  return httpWire(clock, script, {
    textKey: 'text',
    contentType: wavRateHz === undefined ? 'audio/pcm' : 'audio/wav',
    refusal: { status: 401, body: fishRefusal(key) },
    ...(wavRateHz === undefined ? {} : { wavRateHz }),
    wavSizes: { riffSize: 0xffff_ff24, dataSize: 0xffff_ff00 },
  });
}

/**
 * Speaks Fish's live socket: audio at each `flush`, `finish` after `stop`.
 *
 * @param closes after `finish`, as documented; absent, it waits for another `start`
 */
export function fishLiveWire(
  clock: AdapterClock,
  script: WireScript,
  key: string,
  closes = false,
): ScriptedWire {
  return socketWire(clock, script, fishRefusal(key), (socket, speak) => {
    let buffered = '';
    const flush = async (): Promise<void> => {
      const text = buffered;
      buffered = '';
      await speak(text, (audio, done) => socket.send(encode({ event: 'audio', audio }), done));
    };
    return async (data) => {
      const { event, text } = decode(data) as { event: string; text?: string };
      if (event === 'text') buffered += text;
      if (event === 'flush' || event === 'stop') await flush();
      if (event !== 'stop') return;
      socket.send(encode({ event: 'finish', reason: 'stop' }));
      if (closes) socket.close(1000);
    };
  });
}

const fishRefusal = (key: string): string =>
  `{"message":"Invalid Token ${key}","status":401,"reason":null}`;

const elevenLabsRefusal = (key: string): string =>
  `{"detail":{"status":"invalid_api_key","message":"Invalid API key ${key}"}}`;

/** Says a text in the script's chunks; resolves behind the last one, or never. */
type Speak = (text: string, write: ChunkSink['write']) => Promise<void>;

/**
 * A WebSocket server that answers one message after the other.
 *
 * @param refusal the body with which a key is refused at the upgrade, as 401
 * @param converse called for each socket; its result is called for each message
 */
function socketWire(
  clock: AdapterClock,
  script: WireScript,
  refusal: string,
  converse: (socket: WebSocket, speak: Speak) => (data: Buffer) => Promise<void>,
): ScriptedWire {
  const log = emptyLog();
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const server = createServer({ requestTimeout: 0, headersTimeout: 0 });
  server.on('upgrade', (request, stream, head) => {
    log.requests.push({ path: request.url ?? '', headers: request.headers });
    if (script.outcome === 'refuse') {
      stream.resume();
      stream.end(
        `HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: ${refusal.length}\r\nConnection: close\r\n\r\n${refusal}`,
      );
      return;
    }
    sockets.handleUpgrade(request, stream, head, (socket) => {
      const answer = converse(socket, (text, write) => {
        if (script.outcome === 'silent') return new Promise(() => {});
        const audio = pcmBytes(voice(text, script.samplesPerCharacter));
        return new Promise((resolve) => {
          const cut = (): void => void stream.destroy();
          sendChunks(clock, script, log, audio, { write, end: resolve, cut });
        });
      });
      let turn = Promise.resolve();
      socket.on('error', () => {});
      socket.on('message', (data, binary) => {
        const bytes = Buffer.from(data as Buffer);
        log.received.push(binary ? JSON.stringify(decode(bytes)) : String(bytes));
        turn = turn.then(() => answer(bytes));
      });
    });
  });
  return { accept: acceptor(log, (stream) => void server.emit('connection', stream)), log };
}

/** An HTTP server that answers every request as told, once its body has been read. */
export function httpAnswers(answer: (response: ServerResponse) => void): ScriptedWire {
  const log = emptyLog();
  const server = createServer(
    { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 },
    (request, response) => {
      request.setEncoding('utf8').on('data', (piece) => log.received.push(piece));
      request.on('end', () => {
        log.requests.push({ path: request.url ?? '', headers: request.headers });
        response.sendDate = false;
        answer(response);
      });
    },
  );
  return { accept: acceptor(log, (stream) => void server.emit('connection', stream)), log };
}

/**
 * A WebSocket server that does as told with every message.
 *
 * @param read makes JSON of a message
 */
export function webSocketAnswers(
  onMessage: (
    message: { text: string; flush?: boolean },
    socket: WebSocket,
    stream: Duplex,
  ) => void,
  read: (data: Buffer) => string = String,
): ScriptedWire {
  const log = emptyLog();
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const server = createServer({ requestTimeout: 0, headersTimeout: 0 });
  server.on('upgrade', (request, stream, head) => {
    log.requests.push({ path: request.url ?? '', headers: request.headers });
    sockets.handleUpgrade(request, stream, head, (socket) => {
      socket.on('error', () => {});
      socket.on('message', (data) => {
        const text = read(data as Buffer);
        log.received.push(text);
        onMessage(JSON.parse(text), socket, stream);
      });
    });
  });
  return { accept: acceptor(log, (stream) => void server.emit('connection', stream)), log };
}

interface ChunkSink {
  write(chunk: Uint8Array, done: (error?: Error | null) => void): void;
  end(): void;
  cut(): void;
}

/** The next chunk waits until the one before was accepted, so a full window is felt. */
function sendChunks(
  clock: AdapterClock,
  script: WireScript,
  log: WireLog,
  bytes: Uint8Array,
  sink: ChunkSink,
): void {
  const total = script.outcome === 'empty' ? 0 : Math.ceil(bytes.length / script.chunkBytes);
  const half =
    script.outcome === 'cut' || script.outcome === 'stall' ? Math.ceil(total / 2) : total;
  const step = (index: number): void => {
    if (index === half) {
      if (script.outcome === 'cut') clock.after(script.gapUs, () => sink.cut());
      else if (script.outcome !== 'stall') sink.end();
      return;
    }
    clock.after(script.gapUs, () => {
      const chunk = bytes.slice(index * script.chunkBytes, (index + 1) * script.chunkBytes);
      log.chunks.push({ atUs: clock.nowUs(), bytes: chunk.length });
      sink.write(chunk, (error) => {
        if (!error) step(index + 1);
      });
    });
  };
  step(0);
}

function acceptor(log: WireLog, serve: (stream: Duplex) => void): (stream: Duplex) => void {
  return (stream) => {
    log.connections++;
    log.open++;
    stream.on('error', () => {});
    stream.once('close', () => log.open--);
    // A half-open stream counts as open until its server side has ended as well.
    stream.once('end', () => stream.end());
    serve(stream);
  };
}

function emptyLog(): WireLog {
  return { connections: 0, open: 0, requests: [], received: [], chunks: [] };
}

/** Bytes of the audio a wire sends for a text, in one piece. */
export function voiceBytes(text: string, samplesPerCharacter: number): Uint8Array {
  return bytesOf(pcmBytes(voice(text, samplesPerCharacter)));
}

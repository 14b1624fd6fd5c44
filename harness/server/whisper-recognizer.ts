/**
 * Speech to text by a service with OpenAI's transcription endpoint, asked as the EchoKit server asks it
 * (EchoKit device protocol reference, sections 7.2 and 9.2).
 */
import type { AdapterDeps } from '../../adapters/index.ts';
import { FollowingController } from '../clock/following-controller.ts';
import type { Recognizer } from './recognizer.ts';
import { Service, type ServiceDeps, textOf } from './service-call.ts';

export interface WhisperConfig {
  readonly url: string;
  /** Sent as a bearer token unless it is empty. */
  readonly apiKey?: string;
  /** None of these is sent when it is empty. */
  readonly language?: string;
  readonly model?: string;
  readonly prompt?: string;
}

const tries = 3;
const tryLimitUs = 10_000_000;

/** @returns a recognizer that MUST be closed */
export function whisperRecognizer(
  config: WhisperConfig,
  deps: ServiceDeps & Pick<AdapterDeps, 'randomBytes'>,
): Recognizer & { close(): void } {
  const service = new Service(config.url, deps);

  /** One request, given up after 10 s. */
  const ask = async (samples: Int16Array, signal: AbortSignal): Promise<string> => {
    const stop = new FollowingController(signal);
    const alarm = deps.clock.after(tryLimitUs, () =>
      stop.abort(new Error(`there was no answer within ${tryLimitUs / 1_000_000} s`)),
    );
    try {
      const boundary = `----echokit-${Buffer.from(deps.randomBytes(12)).toString('hex')}`;
      const headers = {
        ...(config.apiKey ? { Authorization: `Bearer ${config.apiKey}` } : {}),
        'Content-Type': `multipart/form-data; boundary=${boundary}`,
      };
      const body = form(boundary, samples, config);
      const answer = await service.post({ headers, body }, stop.signal);
      return transcript(await textOf(answer));
    } finally {
      alarm.cancel();
      stop.release();
    }
  };

  return {
    async recognize(samples, _context, signal) {
      let last: unknown;
      for (let attempt = 1; attempt <= tries; attempt++) {
        try {
          return understood(await ask(samples, signal));
        } catch (error) {
          signal.throwIfAborted();
          last = error;
        }
      }
      const why = last instanceof Error ? last.message : String(last);
      throw new Error(`The recognition failed ${tries} times: ${why}`, { cause: last });
    },
    close: () => service.close(),
  };
}

/** The file first, then what is configured. */
function form(boundary: string, samples: Int16Array, config: WhisperConfig): Buffer {
  const field = ([name, value]: readonly [string, string | undefined]): string =>
    value ? `${part(boundary, `name="${name}"`)}${value}\r\n` : '';
  const fields = [
    ['language', config.language],
    ['model', config.model],
    ['prompt', config.prompt],
  ] as const;
  return Buffer.concat([
    Buffer.from(part(boundary, 'name="file"; filename="audio.wav"')),
    wavFile(samples),
    Buffer.from(`\r\n${fields.map(field).join('')}--${boundary}--\r\n`),
  ]);
}

function part(boundary: string, disposition: string): string {
  return `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n`;
}

function wavFile(samples: Int16Array): Buffer {
  const file = Buffer.alloc(44 + 2 * samples.length);
  file.write('RIFF', 0, 'latin1');
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8, 'latin1');
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(16_000, 24);
  file.writeUInt32LE(32_000, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36, 'latin1');
  file.writeUInt32LE(2 * samples.length, 40);
  for (const [i, sample] of samples.entries()) file.writeInt16LE(sample, 44 + 2 * i);
  return file;
}

/** Whatever the status: an answer without a text has none, and is not asked for again (9.2). */
function transcript(body: string): string {
  const { text } = JSON.parse(body) as { readonly text?: unknown };
  return typeof text === 'string' ? text : '';
}

/** What is said beside the words does not count: `[time] words`, `(music)`. */
export function understood(transcribed: string): string {
  const text = transcribed
    .split('\n')
    .map((line) => line.trim().replace(/^\[[^\]]*\]\s*/, ''))
    .join('\n')
    .trim();
  return text.startsWith('(') ? '' : text;
}
